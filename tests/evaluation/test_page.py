"""The page, from made-up days."""

from __future__ import annotations

from evaluation.comparison import Evaluation
from evaluation.files import write
from evaluation.page import to_html
from tests.evaluation.made_up import evaluation_of, played


def test_who_is_far_off_is_named_and_not_drawn(days):
    # Differences to the best rule: -10, -20, -300. Median 20; 300 is more than 10 x 20 = 200.
    others = [played(f"less {loss}", days - loss) for loss in (10.0, 20.0, 300.0)]
    page = to_html(Evaluation("Dispatch-v0", "short_shift", "v2", "reward", rules=[played("best", days), *others]))
    assert page.count("<circle") == 2
    assert "Too far off to be drawn: less 300.0 (-300)." in page


def test_the_page_shows_the_curves_that_lie_beside_it(days, tmp_path):
    (tmp_path / "curves.png").write_bytes(b"picture")
    *_, html_path = write(evaluation_of(days, 50.0), tmp_path)
    # base64 of "picture"
    assert "data:image/png;base64,cGljdHVyZQ==" in html_path.read_text()
