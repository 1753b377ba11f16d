"""How the data path grows is measured with the product's own code, and told with its exponents."""

import pytest

from corpus.plugins import VARIABLE
from orchestrator.experiments.scale import exponent, plan_of, plot_of, read_reports, table_of
from orchestrator.experiments.scale_path import ON_WORKERS, PHASES, PathReport, PhaseReport, measure_path


def made_up(tiles: int) -> PathReport:
    """Every phase takes a thousandth of a second a tile, but neighbours, which are quadratic."""
    phases = {
        phase: PhaseReport(
            wall_s=1,
            cpu_s=0 if phase in ON_WORKERS else tiles / 1000,
            workers_cpu_s={"neighbours": tiles**2 / 1e6}.get(phase, tiles / 1000) if phase in ON_WORKERS else 0,
            peak_mib=100 + tiles / 1000,
        )
        for phase in PHASES
    }
    return PathReport(tiles=tiles, before_mib=100, phases=phases, raw_cpu_s=tiles / 1000)


def test_a_made_up_corpus_goes_through_every_phase_of_a_round(tmp_path):
    found = measure_path(200, tmp_path)
    assert tuple(found.phases) == PHASES
    assert all(each.all_cpu_s > 0 and each.peak_mib >= 50 for each in found.phases.values())
    assert PathReport.model_validate_json(found.model_dump_json()) == found


def test_exponents_are_fitted_to_the_larger_sizes():
    slope, scale = exponent([1000, 4000, 16000], [9.0, 4.0, 16.0])
    assert slope == pytest.approx(1)
    assert scale == pytest.approx(1e-3)
    assert exponent([1000], [1.0]) is None


def test_table_plan_and_plot_tell_what_was_measured(tmp_path):
    for tiles in (16000, 4000):
        (tmp_path / f"tiles-{tiles}.json").write_text(made_up(tiles).model_dump_json())
    reports = read_reports(tmp_path)
    table = table_of(reports)
    assert "| phase | where | 4,000 | 16,000 | exponent |" in table
    assert "| neighbours | workers | 16.00 | 256.00 | 2.00 |" in table
    assert "| weigh | workers | 4.00 | 16.00 | 1.00 |" in table
    assert "| commit and read, times raw pyarrow | driver | 2.0 | 2.0 |" in table
    plan = plan_of(reports)
    assert "120 CPU minutes in the driver" in plan  # six phases of 1,200 s
    assert "401.0 CPU hours on the workers" in plan
    assert "1.3 GiB of memory of the driver" in plan
    assert len(plot_of(reports).axes[0].lines) == len(PHASES)


def test_one_size_makes_no_plan():
    assert "two sizes" in plan_of([made_up(4000)])


def test_the_command_measures_a_size_in_its_own_process_and_keeps_those_of_before(call, tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)  # a process of its own does not find the tests' plugins
    (tmp_path / "tiles-4000.json").write_text(made_up(4000).model_dump_json())
    status, out, error = call("scale", "--sizes", "64", "--out", tmp_path)
    assert status == 0, error
    small, before = read_reports(tmp_path)
    assert (small.tiles, before) == (64, made_up(4000))
    assert all(phase.all_cpu_s < 60 for phase in small.phases.values())
    assert "| phase | where | 64 | 4,000 | exponent |" in out
    assert (tmp_path / "scale.md").read_text().strip() in out
    assert (tmp_path / "scale.png").read_bytes().startswith(b"\x89PNG")


def test_a_size_that_shows_nothing_is_refused_before_any_is_measured(call, tmp_path):
    status, _, error = call("scale", "--sizes", "128,10", "--out", tmp_path)
    assert status == 2
    assert "less than 64 tiles" in error
    assert list(tmp_path.iterdir()) == []
