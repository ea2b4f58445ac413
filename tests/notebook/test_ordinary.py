"""Cells of ordinary analyst code run identically with every cell a step cell, with none, and from disk."""

import re

import pytest
from test_kernel import Kernel

CELLS = [
    (
        "import math\n"
        "import random\n"
        "from collections import Counter, defaultdict\n"
        "from dataclasses import dataclass\n"
        "import numpy as np\n"
        "import pandas as pd\n"
        "import matplotlib.pyplot as plt"
    ),
    (
        "random.seed(3)\n"
        "rng = np.random.default_rng(3)\n"
        "n = 40\n"
        "raw = pd.DataFrame({'id': range(n), 'city': rng.choice(['Bonn', 'Kiel', None], n), "
        "'price': rng.normal(100, 20, n).round(2), 'when': pd.date_range('2026-01-01', periods=n, "
        "tz='Europe/Berlin')})\n"
        "raw.head(3)"
    ),
    (
        "def clean(frame, low=0.0):\n"
        "    'Drop what has no city.'\n"
        "    return frame[frame['price'] > low].dropna(subset=['city'])\n"
        "print(len(clean(raw)))"
    ),
    "df = clean(raw)\ndf['month'] = df['when'].dt.month\ndf['log'] = np.log(df['price'])\ndf.shape",
    "df['dear'] = df['price'] > df['price'].median()",
    "logs = df.pop('log')\nlist(df.columns)",
    "by_city = df.groupby('city')['price'].agg(['mean', 'count']).round(3)\nby_city",
    (
        "@dataclass\n"
        "class Summary:\n"
        "    city: str\n"
        "    mean: float\n"
        "    def line(self):\n"
        "        return f'{self.city}: {self.mean:.2f}'\n"
        "summaries = [Summary(city, row['mean']) for city, row in by_city.iterrows()]\n"
        "[summary.line() for summary in summaries]"
    ),
    (
        "counts = Counter(df['city'])\n"
        "groups = defaultdict(list)\n"
        "for city, price in zip(df['city'], df['price']):\n"
        "    groups[city].append(price)\n"
        "print(counts.most_common(1), len(groups))"
    ),
    "for name, values in groups.items():\n    print(name, round(sum(values) / len(values), 2))",
    (
        "X = np.column_stack([np.ones(len(df)), df['month']])\n"
        "y = df['price'].to_numpy()\n"
        "weights, *_ = np.linalg.lstsq(X, y, rcond=None)\n"
        "np.round(weights, 4)"
    ),
    (
        "from sklearn.linear_model import LogisticRegression\n"
        "model = LogisticRegression().fit(df[['price']], df['dear'])\n"
        "print(model.score(df[['price']], df['dear']))"
    ),
    "df['score'] = model.predict_proba(df[['price']])[:, 1].round(4)\ndf['score'].sum().round(3)",
    "%matplotlib inline\nfig, ax = plt.subplots(figsize=(3, 2))\nax.hist(df['price'], bins=5)\nplt.show()",
    (
        "try:\n"
        "    ratio = 1 / (len(df) - len(df))\n"
        "except ZeroDivisionError as error:\n"
        "    ratio = math.inf\n"
        "    print('no ratio:', error)\n"
        "ratio"
    ),
    (
        "import asyncio\n"
        "async def fetch(x):\n"
        "    await asyncio.sleep(0.001)\n"
        "    return x * 2\n"
        "fetched = await asyncio.gather(*(fetch(x) for x in range(5)))\n"
        "fetched"
    ),
    (
        "squares = {x: x * x for x in range(5) if x % 2}\n"
        "total = 0\n"
        "while total < 10:\n"
        "    total += len(squares)\n"
        "total, squares"
    ),
    (
        "import sys\n"
        "print('to stderr', file=sys.stderr)\n"
        "with open('notes.txt', 'w') as notes:\n"
        "    notes.write('hello')\n"
        "text = open('notes.txt').read()\n"
        "text"
    ),
    "rate = 1.19\ngross = lambda x: round(x * rate, 2)\nprices = df['price'].map(gross)\nprices.sum().round(2)",
    (
        "report = {'rows': len(df), 'cities': sorted(by_city.index), 'best': max(summaries, "
        "key=lambda summary: summary.mean).line(), 'gross': float(prices.sum().round(2))}\n"
        "del raw\n"
        "report"
    ),
]
STATE = (
    "repr((report, df.to_csv(), counts, dict(groups), weights.tolist(), "
    "model.coef_.round(6).tolist(), squares, total, fetched, ratio, text, gross(1), [s.line() "
    "for s in summaries], 'raw' in dir(), 'notes' in dir() and notes.closed, "
    "df.dtypes.astype(str).to_dict()))"
)

#: What is held together, set up for the whole kernel, or changed by functions: where a
#: cell from disk may leave another notebook.
TOGETHER = [
    (
        "import logging\n"
        "import os\n"
        "import random\n"
        "import sys\n"
        "from collections import Counter, namedtuple\n"
        "from typing import Generic, TypeVar\n"
        "import numpy as np\n"
        "import pandas as pd\n"
        "import matplotlib.pyplot as plt\n"
        "SEED = 3\n"
        "random.seed(SEED)\n"
        "pd.set_option('display.max_rows', 4)\n"
        "plt.rcParams['figure.figsize'] = (3, 2)\n"
        "if 'lib' not in sys.path:\n"
        "    sys.path.insert(0, 'lib')\n"
        "logging.basicConfig(level=logging.INFO, format='%(message)s')"
    ),
    "df = pd.DataFrame({'a': [1, 2, 3]})\nview = df\nframes = {'main': df, 'copy': df.copy()}",
    "view['b'] = view['a'] * 2\nprint(list(df.columns), list(frames['main'].columns), list(frames['copy'].columns))",
    "df.loc[0, 'a'] = 100",
    "frames['main']['a'].tolist(), view['a'].tolist(), frames['copy']['a'].tolist()",
    "config = {'x': 1, 'nested': {'k': [1, 2]}}\nnested = config['nested']",
    "nested['k'].append(3)",
    "config",
    "arr = np.arange(6.0).reshape(2, 3)\nfirst, corner = arr[0], arr[:, :1]",
    "first += 10",
    "arr[:, 0] = -1",
    "arr, first, corner",
    (
        "calls = Counter()\n"
        "done = 0\n"
        "def note(name):\n"
        "    global done, latest\n"
        "    calls[name] += 1\n"
        "    done, latest = done + 1, name\n"
        "    return done"
    ),
    "note('x')",
    "note('y')",
    "calls, done, latest",
    (
        "class Account:\n"
        "    total = 0\n"
        "    names = []\n"
        "    def __init__(self, name):\n"
        "        self.items = []\n"
        "        self.names.append(name)\n"
        "    def add(self, n):\n"
        "        self.items.append(n)\n"
        "        Account.total += n\n"
        "        return self\n"
        "mine = Account('me')"
    ),
    "other = mine.add(5)\nother.add(6).items",
    "mine.items, Account.total, Account.names, other is mine",
    (
        "try:\n"
        "    import no_such_module as json\n"
        "    IS_FAST = True\n"
        "except ImportError:\n"
        "    import json\n"
        "    IS_FAST = False"
    ),
    "json.dumps([IS_FAST])",
    "with open('a.txt', 'w') as file:\n    import textwrap\n    file.write('x')\ntextwrap.dedent(' a')",
    "textwrap.dedent(' b')",
    (
        "Point = namedtuple('Point', 'x y')\n"
        "T = TypeVar('T')\n"
        "class Box(Generic[T]):\n"
        "    pass\n"
        "points = [Point(1, 2)]\n"
        "box = Box()"
    ),
    "points[0].x, type(box).__name__, Point(3, 4)",
    "fig, ax = plt.subplots()\nax.plot([1, 2])\nplt.close(fig)",
    "ax.set_title('later')\nfig.axes[0].get_title(), fig.get_size_inches().tolist()",
    "logging.getLogger('job').info('written by a logger of an earlier cell')",
    (
        "rows = [{'v': 1}, {'v': 2}]\n"
        "chosen = [row for row in rows if row['v'] > 1]\n"
        "tree = {'rows': rows}\n"
        "tree['self'] = tree"
    ),
    "for row in chosen:\n    row['w'] = row['v'] * 2",
    "rows, tree['self'] is tree, tree['rows'] is rows",
    "from sklearn.linear_model import LinearRegression\nmodel = LinearRegression()\nmodels = {'linear': model}",
    "model.fit([[1], [2]], [1, 2])\nNone",
    "models['linear'].predict([[3]]).round(3)",
    "pd.DataFrame({'n': range(9)})",
    "'lib' in sys.path, random.random()",
]
TOGETHER_STATE = (
    "repr((df.to_csv(), view is df, frames['main'] is df, config, arr.tolist(), first.tolist(), "
    "calls, done, latest, mine.items, Account.total, rows, chosen, models['linear'] is model, "
    "model.coef_.round(6).tolist()))"
)


def played(folder, cells, state):
    """What each cell shows, and what the notebook holds at its end."""
    kernel = Kernel(folder)
    try:
        kernel.run("import nbflow as nf")
        shown = [kernel.run(cell) for cell in cells]
        return (
            [re.sub(r"\x1b\[38;5;243m.*?\x1b\[0m\s*", "", text) for text in shown],
            shown,
            kernel.run(state).replace("'notes' in dir()", ""),
        )
    finally:
        kernel.close()


@pytest.mark.parametrize(
    ("cells", "state", "live"),
    [(CELLS, STATE, []), (TOGETHER, TOGETHER_STATE, [26])],
    ids=["ordinary", "together"],
)
def test_every_cell_a_step_cell_none_and_all_from_disk(tmp_path, cells, state, live):
    (tmp_path / "plain").mkdir()
    (tmp_path / "steps").mkdir()
    plain, _, left = played(tmp_path / "plain", cells, state)
    steps = [f"#| step: cell{number}\n{cell}" for number, cell in enumerate(cells)]
    first, _, first_left = played(tmp_path / "steps", steps, state)
    again, told, again_left = played(tmp_path / "steps", steps, state)
    strip = lambda texts: [
        [line for line in text.splitlines() if line.strip()] for text in texts
    ]
    assert strip(first) == strip(plain)
    assert strip(again) == strip(plain)
    assert first_left == left
    assert again_left.replace("False, False, ", "") == left.replace("False, True, ", "")
    assert [number for number, text in enumerate(told) if "cached" not in text] == live
