"""What the numbers of a band mean: a pure decision, which no single value can turn over."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.geotiff.meaning import UNITS_KEY, BandFacts, Verdict, decide
from corpus.geotiff.measure import Constant, Patch, Values, find_no_data, measure, suspected_no_data
from support.delivered import decibels, sigma0, smooth

POWER = sigma0()[0]
FORMS = {"power": POWER, "amplitude": np.sqrt(POWER), "db": decibels(POWER)}


def patch(values, dtype=np.float32) -> Patch:
    values = np.asarray(values, dtype)
    return Patch(values, np.ones(values.shape, bool), (True, True, True, True))


def facts(values, dtype="float32", name="a.tif", **known) -> BandFacts:
    patches = [patch(values, dtype)]
    no_data, _ = find_no_data(patches)
    scaled = measure(patches, list(no_data), known.get("scale", 1.0), known.get("offset", 0.0))
    return BandFacts(name, dtype, scaled, **known)


def unit(values, **known) -> str | None:
    return decide(facts(values, **known)).unit


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("declared", ["UNITS", "description", "name"])
def test_what_a_file_declares_is_what_its_numbers_are(form, declared):
    word = {"power": "Intensity", "amplitude": "Amplitude", "db": "dB"}[form]
    known = {
        "UNITS": {"declared_unit": word},
        "description": {"description": f"Sigma0_VV_{word}"},
        "name": {"name": f"S1_VV_{word}.tif"},
    }[declared]
    assert unit(FORMS[form], **known) == form


@pytest.mark.parametrize(("form", "found"), [("power", "power"), ("db", "db"), ("amplitude", None)])
def test_what_nothing_declares_is_told_by_the_values_or_refused(form, found):
    meaning = decide(facts(FORMS[form]))
    assert meaning.unit == found
    if found is None:
        assert meaning.verdict is Verdict.UNCLEAR
        assert UNITS_KEY in meaning.hint


@pytest.mark.parametrize("form", FORMS)
def test_the_configured_unit_is_that_of_bands_that_declare_none(form):
    assert decide(facts(FORMS[form]), configured=form).unit == form
    assert decide(facts(FORMS["db"], description="VV_db"), configured="power").unit == "db"


def test_a_declaration_that_the_values_contradict_is_unclear():
    for values, known in ((POWER, {"name": "S1_VV_db.tif"}), (FORMS["db"], {"declared_unit": "power"})):
        meaning = decide(facts(values, **known))
        assert meaning.verdict is Verdict.UNCLEAR
        assert "but" in meaning.reasons[0]


@given(st.integers(0, 10_000), st.sampled_from([-1e-6, -1e-3, -0.5, -9999.0, -32768.0, -np.inf, np.nan, 3e38]))
@settings(max_examples=40, deadline=None)
def test_no_single_pixel_makes_power_decibels(place, value):
    """One sign decided for a whole file: contrast .03."""
    values = POWER.copy()
    values.reshape(-1)[place] = value
    assert unit(values) == "power"


@given(st.integers(0, 10_000), st.sampled_from([0.0, 5.0, 40.0, -9999.0, -32768.0, -99.0, np.inf, np.nan]))
@settings(max_examples=40, deadline=None)
def test_no_single_pixel_makes_decibels_anything_else(place, value):
    values = decibels(POWER)
    values.reshape(-1)[place] = value
    assert unit(values) == "db"


@given(st.floats(-25, 25), st.floats(1, 16))
@settings(max_examples=40, deadline=None)
def test_power_and_decibels_of_any_level_and_looks_are_never_taken_for_one_another(level, looks):
    rng = np.random.default_rng(0)
    base = np.exp(rng.normal(0, 0.7, (16, 16))).repeat(8, 0).repeat(8, 1) * 0.1
    power = base * rng.gamma(looks, 1 / looks, (128, 128)) * 10 ** (level / 10)
    assert unit(power) in ("power", None)
    assert unit(decibels(power)) in ("db", None)


@given(st.sampled_from([0.01, 1e-4, 0.001]), st.floats(-5, 5))
@settings(max_examples=20, deadline=None)
def test_scale_and_offset_are_applied_before_the_unit_is_told(scale, offset):
    stored = np.clip(np.round((decibels(POWER) - offset) / scale), -30000 / scale, 30000 / scale).astype(np.int32)
    meaning = decide(facts(stored, "int32", scale=scale, offset=offset))
    assert meaning.unit == "db"
    assert "scale" in " ".join(meaning.reasons)


def test_decibels_of_digital_numbers_are_not_taken_for_a_linear_unit():
    """A logarithm of a logarithm."""
    assert unit(20 * np.log10(np.sqrt(POWER) * 500)) == "db"
    assert unit(decibels(POWER) + 83) == "db"


def test_integers_are_an_amplitude_unless_the_file_says_otherwise():
    dn = np.sqrt(POWER) * 500
    assert unit(dn, dtype="uint16") == "amplitude"
    assert unit(dn**2, dtype="uint32", description="Intensity_VV") == "power"
    assert unit(np.round(decibels(POWER)), dtype="int16", name="a_dB.tif") == "db"
    assert decide(facts(decibels(POWER) * 100, dtype="int16")).verdict is Verdict.UNCLEAR


def test_the_key_has_the_last_word_where_a_declaration_is_contradicted_by_the_values():
    assert decide(facts(POWER, name="S1_VV_db.tif"), configured="power").unit == "power"
    assert decide(facts(FORMS["db"], name="power_plant_VV.tif"), configured="db").unit == "db"
    assert decide(facts(FORMS["db"], name="power_plant_VV.tif"), configured="power").verdict is Verdict.UNCLEAR


def test_neither_the_key_nor_a_word_in_the_name_makes_digital_numbers_anything_else():
    dn = np.sqrt(POWER) * 500
    assert decide(facts(dn, dtype="uint16"), configured="db").unit == "amplitude"
    assert decide(facts(dn, dtype="uint16", name="power_plant_VV.tif")).unit == "amplitude"


@pytest.mark.parametrize("description", ["VV", "VV, 4 looks", "VV [m2/m2]", "VV date 2020/06/07", "Sigma0_VV_mst"])
def test_descriptions_of_backscatter_are_taken_for_it(description):
    assert unit(POWER, description=description) == "power"


def test_fixed_calibrations_are_applied():
    dn = np.sqrt(POWER) * 10 ** (83 / 20)
    assert decide(facts(dn, dtype="uint16", name="N48E013_20_sl_HH_F02DAR.tif")).calibration_db == 83
    assert decide(facts(dn, dtype="uint16", calibration_db=60.0)).calibration_db == 60
    assert decide(facts(dn, dtype="uint16")).calibration_db == 0


@pytest.mark.parametrize(
    ("values", "known"),
    [
        (POWER, {"description": "VV/VH"}),
        (POWER, {"description": "ratio"}),
        (POWER, {"description": "angle"}),
        (POWER, {"description": "localIncidenceAngle"}),
        (POWER, {"description": "coh_VV_07Jun2020"}),
        (POWER, {"description": "i_VV"}),
        (POWER, {"name": "S1A_IW_20200607T021500_DVP_RTC30_G_gpuned_AB12_inc_map.tif"}),
        (POWER, {"name": "x/PREVIEW/BROWSE.tif"}),
        (POWER, {"colour_table": True}),
        (POWER, {"interpretation": "alpha"}),
        (smooth("terrain")[0], {"dtype": "int16", "polarised": False}),
        (smooth("angle")[0], {"polarised": False}),
        (np.random.default_rng(0).integers(0, 9, (128, 128)), {"dtype": "uint8", "polarised": False}),
    ],
)
def test_what_is_no_backscatter_is_named_and_not_read(values, known):
    meaning = decide(facts(values, **known))
    assert meaning.verdict is Verdict.NOT_BACKSCATTER
    assert meaning.unit is None
    assert meaning.reasons[0]


@given(
    st.builds(
        Values,
        count=st.integers(0, 10**6),
        valid_share=st.floats(0, 1),
        negative_share=st.floats(0, 1),
        low=st.floats(-1e6, 1e6),
        middle=st.floats(-1e6, 1e6),
        high=st.floats(-1e6, 1e6),
        minimum=st.floats(-1e6, 1e6),
        maximum=st.floats(-1e6, 1e6),
        distinct=st.integers(0, 1000),
        local_spread=st.floats(0, 5) | st.just(math.nan),
        speckle=st.floats(-5, 5) | st.just(math.nan),
        structure=st.floats(0, 1) | st.just(math.nan),
        roughness=st.floats(0, 1) | st.just(math.nan),
    ),
    st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    st.sampled_from([None, "db", "amplitude", "power"]),
    st.sampled_from(["", "VV", "Sigma0_VV_db", "Amplitude_VV"]),
)
def test_every_decision_has_a_reason_and_every_unclear_one_names_the_key(values, dtype, configured, description):
    meaning = decide(BandFacts("a.tif", dtype, values, description=description), configured)
    assert meaning.reasons
    assert (meaning.unit is not None) == (meaning.verdict is Verdict.BACKSCATTER)
    if meaning.verdict is Verdict.UNCLEAR:
        assert UNITS_KEY in meaning.hint
    if description == "Amplitude_VV" and meaning.unit:
        # What is configured counts only where the values contradict what the file declares.
        assert meaning.unit in ("amplitude", configured)


LONE = Constant(-9999.0, 1, 1e-6, 0.0, 0.0, 50.0, True, False, 1.0, False, 5000)


def test_a_lone_extreme_constant_is_no_value_and_a_natural_extreme_is_one():
    assert suspected_no_data(LONE)
    assert suspected_no_data(replace(LONE, value=-32768.0))
    assert not suspected_no_data(replace(LONE, gap=0.2))
    assert not suspected_no_data(replace(LONE, value=40.0, lowest=False, highest=True, gap=9.0))  # a bright target
    assert not suspected_no_data(replace(LONE, value=-0.0005, gap=0.001))


@pytest.mark.parametrize("fill", [0.0, -9999.0, -32768.0, -99.0, -50.0, -999.0, 3.4028235e38])
@pytest.mark.parametrize("columns", [2, 40, 100])
def test_a_constant_border_of_decibels_is_found_and_nothing_else(fill, columns):
    values = decibels(POWER).astype(np.float32)
    values[:, :columns] = fill
    found, rest = find_no_data([patch(values)])
    assert list(found) == [pytest.approx(fill)]
    assert len(rest) == values.size - columns * len(values)


@pytest.mark.parametrize("form", FORMS)
def test_a_scene_without_a_fill_value_keeps_every_value(form):
    assert find_no_data([patch(FORMS[form])])[0] == {}
    assert find_no_data([patch(np.maximum(decibels(POWER), -25))])[0] == {}  # clipped at a noise floor
    assert find_no_data([patch(np.round(decibels(POWER)))])[0] == {}
    assert find_no_data([patch(np.sqrt(POWER) * 300, np.uint8)])[0] == {}


def test_the_border_of_a_rotated_8_bit_image_is_found():
    values = np.clip(np.sqrt(POWER) * 300, 0, 255).astype(np.uint8)
    y, x = np.mgrid[:256, :256]
    values[x + y < 120] = 0
    assert list(find_no_data([patch(values, np.uint8)])[0]) == [0.0]
