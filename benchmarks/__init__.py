"""What performance is claimed, measured beside its limit and a rival.

Run ``python -m benchmarks [--quick] [--only NAME]``; ``python -m benchmarks.coverage``
prints how often intervals of quality hold the truth.

One file a question. Every figure comes from a process of its own, contestants take
turns, and a row shows the median of the ratios: machines differ and change from hour to
hour, ratios of one run less so."""
