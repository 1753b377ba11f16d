"""What the names of products say: the part of the product, the unit, the platform, the time, the polarisation."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.geotiff import products
from corpus.geotiff.compact import compact_by_name
from corpus.geotiff.metadata import acquired_of, platform_of
from corpus.ingest.scenes import Scene, group_scenes


@pytest.mark.parametrize(
    "name",
    [
        "S1A_IW_20200607T021500_DVP_RTC30_G_gpuned_AB12_dem.tif",
        "S1A_IW_20200607T021500_DVP_RTC30_G_gpuned_AB12_inc_map.tif",
        "S1A_IW_20200607T021500_DVP_RTC30_G_gpuned_AB12_ls_map.tif",
        "S1A_IW_20200607T021500_DVP_RTC30_G_gpuned_AB12_rgb.tif",
        "CAPELLA_C02_SP_GEO_HH_20201209213329_preview.tif",
        "2023-02-10-13-12-26_UMBRA-04_CSI.tif",
        "OPERA_L2_RTC-S1-STATIC_T012-023456-IW1_20140403_S1A_30_v1.0_local_incidence_angle.tif",
        "OPERA_L2_RTC-S1-STATIC_T012-023456-IW1_20140403_S1A_30_v1.0_number_of_looks.tif",
        "N48E013_20_linci_F02DAR.tif",
        "TSX1_SAR/AUXRASTER/GIM_HH_SRA_strip_007.tif",
        "S1_browse.tif",
        "ICEYE_X6_QUICKLOOK_SLED_1000_20200101T000000.tif",
        "quick-look.tif",
        "dem.tif",
        "S1_VV_VH_ratio.tif",
        *(f"s1a-iw-nrb-20200607t021500-032906-03cfc7-33uvp-{part}.tif" for part in ("dm", "ei", "gs", "lc", "np-vv")),
        "S1A_IW_NRB__1SDV_20200607T021500/annotation/anything-vv.tif",
        "S1_nesz_VV.tif",
        "S1_noise_power.tif",
        "S1_coh_VV.tif",
        "S1_local_incidence_angle_VV.tif",
        "S2A_MSIL2A_20200607T100031_N0214_R122_T33UVP_20200607T134536_B04.tif",
        "T33UVP_20200607T100031_B04_10m.tif",
        "LC08_L2SP_190027_20200607_20200824_02_T1_SR_B4.TIF",
        "srtm_33_03.tif",
        "N47E015.tif",
    ],
)
def test_parts_that_are_no_backscatter(name):
    assert products.not_backscatter(name)


@pytest.mark.parametrize(
    "name",
    [
        "S1A_IW_20200607T021500_DVP_RTC30_G_gpuned_AB12_VV.tif",
        "study_area.tif",
        "masked_VV.tif",
        "demo.tif",
        "incheon.tif",
        "coherent_town_VV.tif",
        "2023-02-10-13-12-26_UMBRA-04_GEC.tif",
        "a.tif",
        "003.tif",
        "shadows_VV.tif",
        "dem_corrected_VV.tif",
        "s1a-iw-nrb-20200607t021500-032906-03cfc7-33uvp-vv-g-lin.tif",
        "annotation/S1_VV.tif",
        "S1_S2_pair_20200607.tif",
        "noise_removed_VV.tif",
        "S1_denoise_VV.tif",
        "RS2_S2_HH_20200607.tif",
        "tile_B04.tif",
        "N48E015_20_sl_HH_F02DAR.tif",
        "preview/../x_VV.tif"[11:],
    ],
)
def test_names_that_are_those_of_scenes(name):
    assert products.not_backscatter(name) is None


def test_a_word_that_scenes_have_too_counts_beside_backscatter_only():
    name = "S1A_IW_20200607T021500_DVP_RTC30_G_gpuned_AB12_area.tif"
    assert products.not_backscatter(name, beside_backscatter=True)
    assert products.not_backscatter(name) is None


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("S1A_IW_20200607T021500_DVP_RTC30_G_gpuned_AB12_VV.tif", "power"),
        ("S1A_IW_20200607T021500_DVP_RTC30_G_gauned_AB12_VV.tif", "amplitude"),
        ("S1B_IW_20190607T021500_SVR_RTC30_G_sdufem_AB12_VV.tif", "db"),
        ("S1A_IW_RT30_20170708T161200_G_gpn_VV.tif", "power"),
        ("S1A_D.A_VV.tif", "amplitude"),
        ("S1A_D.P_VV.tif", "power"),
        ("OPERA_L2_RTC-S1_T012-023456-IW1_20231028T014500Z_20231029T120000Z_S1A_30_v1.0_VV.tif", "power"),
        ("measurement/iw-vv.rtc.tiff", "power"),
        ("S1A__IW___A_20150222T170750_VV_grd_mli_norm_geo_db.tif", "db"),
        ("S1_VVdB.tif", "db"),
        ("S1_Amplitude_VV.tif", "amplitude"),
        ("dublin.tif", None),
        ("S1A_IW_GRDH_1SDV_20200607T021500_20200607T021525_032906_03CFC7_1A2B.tif", None),
        ("campus_VV.tif", None),
        ("powell_VV.tif", None),
    ],
)
def test_units(name, unit):
    found = products.unit_of_product(name)
    assert (found and found[0]) == unit


@pytest.mark.parametrize(
    ("name", "time", "platform"),
    [
        (
            "s1a-iw-grd-vv-20200607t021500-20200607t021525-032906-03cfc7-001.tiff",
            "2020-06-07T02:15:00",
            "Sentinel-1A",
        ),
        ("S1C_IW_GRDH_1SDV_20250607T021500.tif", "2025-06-07T02:15:00", "Sentinel-1C"),
        (
            "S1A_IW_GRDH_1SDV_20200607T021500_20200607T021525_032906_03CFC7_1A2B.SAFE/measurement/iw-vv.tiff",
            "2020-06-07T02:15:00",
            "Sentinel-1A",
        ),
        ("CAPELLA_C02_SP_GEO_HH_20201209213329_20201209213332.tif", "2020-12-09T21:33:29", "Capella-2"),
        ("2023-02-10-13-12-26_UMBRA-04_GEC.tif", "2023-02-10T13:12:26", "Umbra-04"),
        ("ICEYE_X6_GRD_SLED_1000_20200101T000000.tif", "2020-01-01T00:00:00", "ICEYE-X6"),
        ("GF3_KAS_FSII_012345_E120.0_N30.0_20200101_L1A_HH_L10004567890.tiff", "2020-01-01T00:00:00", "Gaofen-3"),
        ("RCM1_OK1050603_PK1050605_1_SC30MCPA_20200219_000000_HH_HV_GRD.tif", "2020-02-19T00:00:00", None),
        ("N48E013_20_sl_HH_F02DAR.tif", None, "ALOS-2"),
        ("tsx1_sar__eec_re___sm_d_sra_20110303T055240_20110303T055248.tif", "2011-03-03T05:52:40", "TerraSAR-X"),
        ("a_99999999_b.tif", None, None),
        ("scene_12345678901234567.tif", None, None),
        ("003.tif", None, None),
    ],
)
def test_times_and_platforms(name, time, platform):
    assert products.time_in_name(name) == time
    found = products.platform_in_name(name)
    assert platform is None or found == platform


def test_the_time_of_the_name_wins_over_that_of_processing_and_a_tag_of_acquisition_over_both():
    name = "S1A_IW_GRDH_1SDV_20200607T021500.tif"
    assert acquired_of({"TIFFTAG_DATETIME": "2020:06:07 09:12:13"}, name) == "2020-06-07T02:15:00"
    assert acquired_of({"ACQUISITION_START_UTC": "2020-06-08T00:00:00"}, name) == "2020-06-08T00:00:00"
    assert acquired_of({"TIFFTAG_DATETIME": "2020:06:07 09:12:13"}, "a.tif") == "2020-06-07T09:12:13"


def test_platforms_are_written_in_one_way():
    assert platform_of({"SATELLITE": "sentinel-1a"}, "a.tif") == "Sentinel-1A"
    assert platform_of({"PLATFORM": "Sentinel-1B"}, "S1A_x.tif") == "Sentinel-1B"
    assert platform_of({}, "a.tif") == "unknown"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x_VV.tif", "x_VH.tif", True),
        ("x_VV.tif", "y_VH.tif", False),
        ("a/x_VV.tif", "b/x_VH.tif", False),
        ("VV.tif", "VH.tif", True),
        ("s1a-iw-grd-vv-20200607t021500-001.tiff", "s1a-iw-grd-vh-20200607t021500-002.tiff", True),
        ("s1a-iw-grd-vv-20200607t021500-001.tiff", "s1a-iw-grd-vh-20200619t021500-002.tiff", False),
        ("N48E013_20_sl_HH_F02DAR.tif", "N48E013_20_sl_HV_F02DAR.tif", True),
        ("X_VV.TIF", "x_vh.tif", True),
    ],
)
def test_files_of_one_scene_differ_in_the_polarisation_alone(one, other, same):
    (first, _), (second, _) = products.scene_key(one), products.scene_key(other)
    assert (first == second) == same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("VV/S1A_20200607.tif", "VH/S1A_20200607.tif", True),
        ("a/vv/x.tif", "a/VH/x.tif", True),
        ("S1A_VV/2020/x.tif", "S1A_VH/2020/x.tif", True),
        ("VV/x_VV.tif", "VH/x_VH.tif", True),
        ("HH_HV/HH/x.tif", "HH_HV/HV/x.tif", True),
        ("VV/S1A_20200607.tif", "VH/S1A_20200619.tif", False),
        ("a/VV/x.tif", "b/VH/x.tif", False),
    ],
)
def test_files_of_one_scene_lie_in_folders_that_differ_in_the_polarisation_alone(one, other, same):
    groups = group_scenes([Scene(Path(one), one), Scene(Path(other), other)])
    assert len(groups) == (1 if same else 2)


@pytest.mark.parametrize("name", ["VV/x_VH.tif", "VV_VH/x.tif", "x.tif", "VV/S1A_VV_VH/x.tif"])
def test_a_folder_that_names_no_polarisation_or_another_one_than_the_file_says_nothing(name):
    assert products.folder_key(name) is None


def test_files_of_one_folder_are_one_scene_before_those_of_others_are():
    names = ["VV/x_VH.tif", "VV/x_VV.tif", "VH/x.tif", "VV/x.tif"]
    groups = group_scenes([Scene(Path(name), name) for name in names])
    assert [[scene.name for scene in group] for group in groups] == [
        ["VV/x_VV.tif", "VV/x_VH.tif"],
        ["VV/x.tif", "VH/x.tif"],
    ]


@pytest.mark.parametrize(
    ("name", "polarisation"),
    [
        ("ICEYE_X6_GRD_SM_1000_20200101T000000.tif", "VV"),
        ("HV/x.tif", "HV"),
        ("S1A_IW_GRDH_1SSV_20200607T021500.tif", "VV"),
        ("S1B_EW_GRDM_1SSH_20200607T021500.tif", "HH"),
    ],
)
def test_a_product_or_a_folder_has_its_polarisation(name, polarisation):
    assert products.polarisation_of_product(name)[0] == polarisation
    assert products.polarisation_of_product("2023-02-10-13-12-26_UMBRA-04_GEC.tif") is None


@pytest.mark.parametrize(
    ("names", "compact"),
    [
        (["1050603_CH.tif", "1050603_CV.tif"], {"1050603_CH.tif": "CH", "1050603_CV.tif": "CV"}),
        (["RCM1_OK1_20200607/imagery_CV.tif"], {"RCM1_OK1_20200607/imagery_CV.tif": "CV"}),
        (["P_CH_CV_GRD/a_CH.tif"], {"P_CH_CV_GRD/a_CH.tif": "CH"}),
        (["nisar_rh_rv.tif"], {"nisar_rh_rv.tif": "RH"}),
        (["zurich_CH.tif"], {}),
        (["RCM1_CH_CV/a_HH.tif"], {}),
        (["a/x_CH.tif", "b/x_CV.tif"], {}),
    ],
)
def test_compact_polarisation_is_known_by_a_pair_or_by_the_satellite(names, compact):
    assert compact_by_name(names) == compact


def test_a_name_with_two_polarisations_or_none_is_no_part_of_a_scene():
    assert products.scene_key("VV_VH.tif") is None
    assert products.scene_key("003.tif") is None
