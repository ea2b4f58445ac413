"""Twenty cells of ordinary analyst code run identically with every cell a step cell, with none, and from disk."""

import re

from test_kernel import Kernel

CELLS = [
    "import math\nimport random\nfrom collections import Counter, defaultdict\nfrom dataclasses import dataclass\nimport numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt",
    "random.seed(3)\nrng = np.random.default_rng(3)\nn = 40\nraw = pd.DataFrame({'id': range(n), 'city': rng.choice(['Bonn', 'Kiel', None], n), 'price': rng.normal(100, 20, n).round(2), 'when': pd.date_range('2026-01-01', periods=n, tz='Europe/Berlin')})\nraw.head(3)",
    "def clean(frame, low=0.0):\n    'Drop what has no city.'\n    return frame[frame['price'] > low].dropna(subset=['city'])\nprint(len(clean(raw)))",
    "df = clean(raw)\ndf['month'] = df['when'].dt.month\ndf['log'] = np.log(df['price'])\ndf.shape",
    "df['dear'] = df['price'] > df['price'].median()",
    "logs = df.pop('log')\nlist(df.columns)",
    "by_city = df.groupby('city')['price'].agg(['mean', 'count']).round(3)\nby_city",
    "@dataclass\nclass Summary:\n    city: str\n    mean: float\n    def line(self):\n        return f'{self.city}: {self.mean:.2f}'\nsummaries = [Summary(city, row['mean']) for city, row in by_city.iterrows()]\n[summary.line() for summary in summaries]",
    "counts = Counter(df['city'])\ngroups = defaultdict(list)\nfor city, price in zip(df['city'], df['price']):\n    groups[city].append(price)\nprint(counts.most_common(1), len(groups))",
    "for name, values in groups.items():\n    print(name, round(sum(values) / len(values), 2))",
    "X = np.column_stack([np.ones(len(df)), df['month']])\ny = df['price'].to_numpy()\nweights, *_ = np.linalg.lstsq(X, y, rcond=None)\nnp.round(weights, 4)",
    "from sklearn.linear_model import LogisticRegression\nmodel = LogisticRegression().fit(df[['price']], df['dear'])\nprint(model.score(df[['price']], df['dear']))",
    "df['score'] = model.predict_proba(df[['price']])[:, 1].round(4)\ndf['score'].sum().round(3)",
    "%matplotlib inline\nfig, ax = plt.subplots(figsize=(3, 2))\nax.hist(df['price'], bins=5)\nplt.show()",
    "try:\n    ratio = 1 / (len(df) - len(df))\nexcept ZeroDivisionError as error:\n    ratio = math.inf\n    print('no ratio:', error)\nratio",
    "import asyncio\nasync def fetch(x):\n    await asyncio.sleep(0.001)\n    return x * 2\nfetched = await asyncio.gather(*(fetch(x) for x in range(5)))\nfetched",
    "squares = {x: x * x for x in range(5) if x % 2}\ntotal = 0\nwhile total < 10:\n    total += len(squares)\ntotal, squares",
    "import sys\nprint('to stderr', file=sys.stderr)\nwith open('notes.txt', 'w') as notes:\n    notes.write('hello')\ntext = open('notes.txt').read()\ntext",
    "rate = 1.19\ngross = lambda x: round(x * rate, 2)\nprices = df['price'].map(gross)\nprices.sum().round(2)",
    "report = {'rows': len(df), 'cities': sorted(by_city.index), 'best': max(summaries, key=lambda summary: summary.mean).line(), 'gross': float(prices.sum().round(2))}\ndel raw\nreport",
]
STATE = "repr((report, df.to_csv(), counts, dict(groups), weights.tolist(), model.coef_.round(6).tolist(), squares, total, fetched, ratio, text, gross(1), [s.line() for s in summaries], 'raw' in dir(), 'notes' in dir() and notes.closed, df.dtypes.astype(str).to_dict()))"


def played(folder, cells):
    """What each cell shows, and what the notebook holds at its end."""
    kernel = Kernel(folder)
    try:
        kernel.run("import nbflow as nf")
        shown = [kernel.run(cell) for cell in cells]
        return [re.sub(r"\x1b\[38;5;243m.*?\x1b\[0m\s*", "", text) for text in shown], shown, kernel.run(STATE).replace("'notes' in dir()", "")
    finally:
        kernel.close()


def test_every_cell_a_step_cell_none_and_all_from_disk(tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "steps").mkdir()
    assert len(CELLS) == 20
    plain, _, state = played(tmp_path / "plain", CELLS)
    steps = [f"#| step: cell{number}\n{cell}" for number, cell in enumerate(CELLS)]
    first, _, first_state = played(tmp_path / "steps", steps)
    again, told, again_state = played(tmp_path / "steps", steps)
    strip = lambda texts: [[line for line in text.splitlines() if line.strip()] for text in texts]
    assert strip(first) == strip(plain)
    assert strip(again) == strip(plain)
    assert first_state == state
    assert again_state.replace("False, False, ", "") == state.replace("False, True, ", "")
    live = [number for number, text in enumerate(told) if "cached" not in text]
    assert live == []
