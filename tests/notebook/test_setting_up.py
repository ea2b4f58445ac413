"""What a cell sets up for the whole kernel is set up as well when the cell comes from disk."""

import ast

import pytest
from test_kernel import Kernel
from test_ordinary import played

from nbflow._key.cell_names import blind
from nbflow._key.setting_up import sets_up

IMPORTS = (
    "import decimal, locale, os, sys, warnings\n"
    "import numpy as np, pandas as pd, sklearn\n"
    "import matplotlib.pyplot as plt\n"
)

LAST_LINES = [
    "#| step: imports\n" + IMPORTS,
    "#| step: frames\npd.set_option('display.precision', 2)",
    "#| step: style\nplt.style.use('ggplot')",
    "#| step: warnings\nwarnings.filterwarnings('ignore', 'never seen')",
    "#| step: digits\nnp.set_printoptions(precision=2)",
    "#| step: errors\nnp.seterr(all='ignore')",
    "#| step: locale\nlocale.setlocale(locale.LC_NUMERIC, 'C')",
    "#| step: sizes\nplt.rc('font', size=7)",
    "#| step: display\nsklearn.set_config(display='text')",
    "#| step: depth\nsys.setrecursionlimit(4321)",
    "#| step: bound\nold = np.seterr(over='raise')",
    "#| step: thrown_away\n_ = pd.set_option('display.max_rows', 7)",
    "#| step: held\nimport polars as pl\nconfig = pl.Config(tbl_cols=3)",
]
LEFT = (
    "(pd.get_option('display.precision'), plt.rcParams['axes.facecolor'], plt.rcParams['font.size'],"
    " any(one[1] and one[1].pattern == 'never seen' for one in warnings.filters),"
    " np.get_printoptions()['precision'], np.geterr()['divide'], sklearn.get_config()['display'],"
    " sys.getrecursionlimit(), np.geterr()['over'], pd.get_option('display.max_rows'),"
    " os.environ['POLARS_FMT_MAX_COLS'])"
)

#: In the middle of cells, and in other forms than a call.
FORMS = [
    (
        "#| step: forms\n" + IMPORTS + "from decimal import getcontext\n"
        "from matplotlib import rcParams, pyplot as charts\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "InteractiveShell.ast_node_interactivity = 'all'\n"
        "rcParams['font.size'] = charts.rcParams['axes.labelsize'] = 7\n"
        "rcParams['lines.linewidth'], rcParams['axes.linewidth'] = 3, 4\n"
        "getcontext().prec = 11\n"
        "for option in ('display.max_rows', 'display.max_columns'):\n"
        "    pd.set_option(option, 9)\n"
        "setattr(pd.options.display, 'width', 50)\n"
        "os.environ['NEW'] = os.environ['OLD'] = '1'\n"
        "del os.environ['OLD']\n"
        "n = 1"
    )
]
FORMS_LEFT = (
    "(InteractiveShell.ast_node_interactivity, rcParams['font.size'], rcParams['axes.labelsize'],"
    " rcParams['lines.linewidth'], rcParams['axes.linewidth'], getcontext().prec,"
    " pd.get_option('display.max_columns'), pd.get_option('display.width'), 'NEW' in os.environ,"
    " 'OLD' in os.environ)"
)


@pytest.mark.parametrize(
    ("cells", "state"), [(LAST_LINES, LEFT), (FORMS, FORMS_LEFT)], ids=["last", "forms"]
)
def test_what_a_cell_sets_up_is_set_up_by_a_hit(tmp_path, cells, state):
    plain, _, left = played(
        tmp_path, [cell.partition("\n")[2] for cell in cells], state
    )
    first, _, first_left = played(tmp_path, cells, state)
    again, told, again_left = played(tmp_path, cells, state)
    assert [first, first_left] == [plain, left]
    assert [[text.rstrip() for text in again], again_left] == [plain, left]
    assert all("cached" in text for text in told)
    assert not any("not repeated" in text for text in told)


@pytest.mark.parametrize(
    "text",
    [
        "set_up(3)",
        "df.set_index('a')",
        "plt.set_cmap('gray')",
        "plt.plot([1])",
        "pdb.set_trace()",
        "plt.rc('font', size=fetch())",
        "plt.gca().set_title('x')",
        "requests.post('http://x')",
        "data = use_it.setup('x')",
        "style = frame.set_style('x')",
        "use_it.now()",
    ],
)
def test_what_may_do_something_else_is_no_setting(text):
    assert not sets_up(
        ast.parse(text).body[0], frozenset(("plt", "pdb", "requests", "use_it"))
    )


def test_a_module_that_is_set_to_something_computed_keeps_its_cell_from_being_saved():
    cell = ast.parse("for name in names:\n    plt.rcParams[name] = fetch(name)").body
    assert "changes plt" in blind(cell, frozenset(("plt",)))


def test_a_hit_says_which_calls_on_modules_it_did_not_repeat(tmp_path):
    kernel = Kernel(tmp_path)
    try:
        kernel.run("import nbflow, os, sys, time, matplotlib.pyplot as plt")
        cell = (
            "#| step: folders\nos.makedirs('out')\ntime.sleep(0)\nplt.title('x')\nn = 1"
        )
        assert "not repeated" not in kernel.run(cell)
        assert (
            kernel.run(cell)
            .rstrip()
            .endswith("; not repeated: `os.makedirs('out')`\x1b[0m")
        )
    finally:
        kernel.close()


def test_a_hit_says_which_objects_of_modules_it_did_not_change(tmp_path):
    kernel = Kernel(tmp_path)
    try:
        kernel.run("import nbflow, decimal, logging, pandas as pd")
        left = (
            "ctx.prec = 11",
            "log.addHandler(logging.NullHandler())",
            "logging.getLogger('y').addFilter(print)",
            "shown.max_rows = 7",
            "pd.set_option('display.width', pow(3, 4))",
        )
        cell = (
            "#| step: held\nctx = decimal.getcontext()\nlog = logging.getLogger('x')\n"
            "shown = pd.options.display\nframe = pd.DataFrame({'a': [1]})\n"
            "frame['b'] = 2\nlog.info('x')\n"
        )
        cell += "\n".join(left) + "\ndel shown"
        assert "not repeated" not in kernel.run(cell)
        _, _, told = kernel.run(cell).partition("; not repeated: ")
        assert all(f"`{one}`" in told for one in left)
        assert told.count("`") == 2 * len(left)
    finally:
        kernel.close()


def test_a_hit_does_not_name_draws_since_it_restores_what_they_changed(tmp_path):
    kernel = Kernel(tmp_path)
    try:
        kernel.run(
            "import nbflow, random, numpy as np\nfrom random import shuffle\n"
            "random.seed(3); np.random.seed(3)"
        )
        cell = (
            "#| step: shuffled\na = [1, 2, 3, 4]; b = np.arange(4)\n"
            "random.shuffle(a)\nshuffle(a)\nnp.random.shuffle(b)"
        )
        kernel.run(cell)
        kernel.run("random.seed(3); np.random.seed(3)")
        told = kernel.run(cell)
        assert "cached" in told
        assert "not repeated" not in told
    finally:
        kernel.close()
