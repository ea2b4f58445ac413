"""What else an analyst has in a notebook: models, graphs, images, sparse matrices, figures."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from nbflow._key.reader import digest
from nbflow.errors import UnkeyableError


def same(*values):
    assert len({digest(value) for value in values}) == 1


def distinct(*values):
    assert len({digest(value) for value in values}) == len(values)


def test_how_a_sparse_matrix_keeps_its_entries_does_not_count():
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.array([[0, 1, 2], [0, 0, 3]])
    matrix, asked = sparse.csr_matrix(dense), sparse.csr_matrix(dense)
    assert asked.has_canonical_format  # which it remembers
    turned = sparse.csr_matrix(
        (np.array([2, 1, 3]), np.array([2, 1, 2]), np.array([0, 2, 3])), shape=(2, 3)
    )
    twice = sparse.coo_matrix(
        ([1, 1, 1, 3], ([0, 0, 0, 1], [1, 2, 2, 2])), shape=(2, 3)
    )
    same(matrix, asked, turned, matrix.copy(), pickle.loads(pickle.dumps(matrix)))
    same(sparse.coo_matrix(dense), twice)
    same(sparse.dok_matrix(dense), sparse.dok_matrix(dense[::-1])[::-1].todok())
    formats = [
        matrix.asformat(name)
        for name in ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")
    ]
    distinct(
        *formats,
        dense,
        sparse.csr_array(dense),
        matrix * 2,
        matrix.astype(float),
        matrix[:, :2],
        sparse.csr_matrix((2, 3), dtype=int),
    )


def test_an_estimator_is_its_parameters_and_what_it_has_learned():
    pytest.importorskip("sklearn")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = np.random.RandomState(0).rand(40, 3)
    labels = (rows[:, 0] > 0.5).astype(int)

    def pipeline(strength=1.0):
        return make_pipeline(StandardScaler(), LogisticRegression(C=strength))

    fitted = pipeline().fit(rows, labels)
    same(
        fitted,
        pipeline().fit(rows, labels),
        copy.deepcopy(fitted),
        pickle.loads(pickle.dumps(fitted)),
    )
    distinct(fitted, pipeline(), pipeline(2.0), pipeline().fit(rows, 1 - labels))
    forest, used = (
        RandomForestClassifier(3, random_state=0).fit(rows, labels) for _ in range(2)
    )
    used.predict(rows)
    same(forest, used, pickle.loads(pickle.dumps(forest)))


def test_the_version_of_sklearn_is_no_part_of_an_estimator(monkeypatch):
    base = pytest.importorskip("sklearn.base")
    from sklearn.linear_model import LinearRegression

    before = digest(LinearRegression())
    monkeypatch.setattr(base, "__version__", "99.0")
    assert digest(LinearRegression()) == before


def test_where_the_stop_words_of_a_fitted_vectorizer_lie_is_no_part_of_it():
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import TfidfVectorizer

    one, other, more = (
        TfidfVectorizer().fit(texts)
        for texts in (["ab cd", "ef"], ["ab cd", "ef"], ["ab cd", "ef gh"])
    )
    other._stop_words_id = 1  # as another process would have it
    same(one, other)
    distinct(one, more)


def test_a_graph_that_was_looked_at_is_the_same():
    networkx = pytest.importorskip("networkx")
    graph, used, other = (networkx.karate_club_graph() for _ in range(3))
    _ = used.nodes, used.edges, used.adj, used.degree, networkx.shortest_path(used, 0)
    used.__networkx_cache__["backends"] = object()
    other.add_edge(0, 33)
    same(graph, used, pickle.loads(pickle.dumps(graph)))
    distinct(graph, other, networkx.DiGraph(graph))


def test_an_image_is_its_pixels():
    image = pytest.importorskip("PIL.Image")
    picture = image.fromarray(np.arange(12, dtype="u1").reshape(2, 2, 3))
    same(picture, picture.copy(), pickle.loads(pickle.dumps(picture)))
    distinct(picture, picture.rotate(90), picture.convert("L"))


def test_a_figure_is_refused_with_what_to_pass_instead():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    for value in (figure, axes, axes.plot([1, 2])[0]):
        with pytest.raises(UnkeyableError, match="pass the data it is drawn from"):
            digest(value)
    pyplot.close(figure)
    same(pyplot.get_cmap("viridis"), copy.deepcopy(pyplot.get_cmap("viridis")))


def test_random_generators_are_their_state():
    used = np.random.default_rng(1)
    used.random()
    distinct(
        np.random.default_rng(1),
        np.random.default_rng(2),
        used,
        np.random.RandomState(1),
        np.random.RandomState(2),
    )
    same(np.random.default_rng(1), pickle.loads(pickle.dumps(np.random.default_rng(1))))


def test_an_array_of_another_library_is_all_of_its_state_in_a_frame():
    """The coordinate system of a geometry, the unit of a quantity."""

    class LengthDtype(pd.api.extensions.ExtensionDtype):
        type, name = float, "length"

        def __init__(self, unit="m"):
            self.unit = unit

        @classmethod
        def construct_array_type(cls):
            return Lengths

    class Lengths(pd.api.extensions.ExtensionArray):
        def __init__(self, numbers, unit):
            self.numbers, self.unit, self.dtype = (
                np.asarray(numbers),
                unit,
                LengthDtype(unit),
            )

        dtype = None

        def __len__(self):
            return len(self.numbers)

        def __getitem__(self, item):
            found = self.numbers[item]
            return found if np.isscalar(found) else Lengths(found, self.unit)

        def isna(self):
            return np.isnan(self.numbers)

        def copy(self):
            return Lengths(self.numbers.copy(), self.unit)

        def take(self, places, allow_fill=False, fill_value=None):
            return Lengths(self.numbers.take(places), self.unit)

    distinct(
        *(
            pd.Series(Lengths(numbers, unit))
            for numbers in ([1.0, 2.0], [1.0, 3.0])
            for unit in ("m", "km")
        ),
        pd.Series([1.0, 2.0]),
    )
    distinct(LengthDtype("m"), LengthDtype("km"))
    series = pd.Series(Lengths([1.0, 2.0, 3.0], "m"))
    same(series[:2], pd.Series(Lengths([1.0, 2.0], "m")), series[:2].copy())


def test_a_bunch_is_what_it_is_once_it_was_loaded():
    datasets = pytest.importorskip("sklearn.datasets")
    bunch = datasets.load_iris()
    same(bunch, pickle.loads(pickle.dumps(bunch)))
    distinct(bunch, datasets.load_wine())


def test_what_a_search_tree_counts_is_no_part_of_it():
    neighbors = pytest.importorskip("sklearn.neighbors")
    points = np.arange(60.0).reshape(30, 2)
    before = digest(neighbors.KDTree(points))
    tree, ball = neighbors.KDTree(points), neighbors.BallTree(points)
    tree.query(points[:3])
    assert digest(tree) == before
    distinct(tree, ball, neighbors.KDTree(points + 1))


@pytest.mark.parametrize(
    "make",
    [
        lambda df: df.groupby("a"),
        lambda df: df.groupby(["a", "b"])["b"],
        lambda df: df.rolling(2),
        lambda df: df["b"].expanding(),
        lambda df: df.resample("D"),
        lambda df: df.groupby("a").rolling(2),
    ],
)
def test_what_pandas_has_grouped_so_far_does_not_count(make):
    index = pd.date_range("2026-11-23", periods=3)
    df = pd.DataFrame({"a": [1, 1, 2], "b": [1.0, 2.0, 3.0]}, index)
    fresh, used = make(df), make(df)
    used.sum()
    for name in ("groups", "indices", "ngroups"):
        getattr(used, name, None)
    list(used)
    same(fresh, used)
    distinct(used, make(df * 2))


def test_the_methods_of_an_array_of_your_own_in_a_frame_count(new_notebook):
    """A step may call them through the frame."""
    pytest.importorskip("pandas.tests.extension.list.array")
    cell = (
        "import numpy as np, pandas as pd\nfrom pandas.tests.extension.list import array\n"
        "class Lengths(array.ListArray):\n    def total(self):\n        return {}\n"
        "frame = pd.DataFrame({{'a': Lengths(np.array([[1], [2, 3]], dtype=object))}})\n"
    )
    found = []
    for total in ("1", "2", "1"):
        notebook = new_notebook()
        notebook.run(cell.format(total))
        found.append(digest(notebook["frame"]))
    assert found[0] == found[2] != found[1]
