"""How a report reads, and that it cannot be taken for a success by accident."""

from minirec.verify import Cause, Check, Report, Worst

GOOD = Check("full Jacobian", True, 2e-13, 1e-8, "of 3 outputs by 5 inputs")
BAD = Check("every argument matters", False, detail="no gradient for b")


def test_a_report_is_ok_when_all_of_its_checks_are() -> None:
    assert Report("t", (GOOD,)).ok
    assert bool(Report("t", (GOOD,)))
    assert not Report("t", (GOOD, BAD)).ok
    assert not bool(Report("t", (GOOD, BAD)))
    assert Report("t", (GOOD, BAD)).failures == (BAD,)


def test_a_report_without_checks_is_not_ok() -> None:
    assert not Report("t", ()).ok


def test_text_has_a_line_per_check_with_figure_and_limit() -> None:
    worst = Worst("W", (1, 2), (0,), 0.25, 0.5)
    lines = str(Report("gradient of f", (GOOD, BAD), 0.5, worst, ("b",))).split("\n")
    assert lines[0] == "gradient of f: 1 of 2 checks FAILED, largest relative error 5.0e-01"
    assert lines[1].split() == "ok full Jacobian 2e-13 (limit 1e-08) of 3 outputs by 5 inputs".split()
    assert lines[2].split() == "FAILED every argument matters no gradient for b".split()
    assert lines[3] == "  declared zero: b"
    assert lines[4] == "  worst entry: ∂y[0] / ∂W[1, 2]: backward 0.25, reference 0.5"
    assert len(lines) == 5


def test_text_of_a_success_and_of_a_direction() -> None:
    text = str(Report("gradient of f", (GOOD,), 2e-13, Worst("x", (), None, 1.0, 1.0, along=True)))
    assert text.startswith("gradient of f: ok, largest relative error 2.0e-13\n")
    assert text.endswith("along a random direction of x: backward 1, reference 1")


def test_causes_stand_at_the_end_and_say_how_sure_they_are() -> None:
    causes = (Cause("sign", "x", "dx has the wrong sign", True), Cause("noise", "x", "dx is noisy", False))
    lines = str(Report("t", (BAD,), causes=causes)).split("\n")
    assert lines[-2:] == ["  probably: dx has the wrong sign", "  perhaps: dx is noisy"]


def test_numbers_are_printed_with_the_digits_that_show_their_difference() -> None:
    text = str(Report("t", (BAD,), 1e-12, Worst("x", (0,), (0,), 0.5, 0.5 + 1e-12)))
    assert text.endswith("backward 0.5, reference 0.500000000001")
    text = str(Report("t", (BAD,), 0.1, Worst("x", (0,), (0,), 0.5, 0.6)))
    assert text.endswith("backward 0.5, reference 0.6")
