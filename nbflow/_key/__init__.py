"""Identifies: is this the same call?"""
