"""What the name of a SAR product's file says: the part of the product it is, the unit, the platform, the time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final, Literal

from corpus.geotiff.other_rasters import first_named, other_raster

Unit = Literal["db", "amplitude", "power"]
POLARISATION: Final = re.compile(r"(?<![A-Za-z])(VV|VH|HH|HV)(?![A-Za-z])", re.IGNORECASE)

# Parts of products that are no backscatter, by the word that ends the name (or is the whole of it).
_PARTS: Final = (
    (r"dem|dsm|dtm|elevation(?:_map)?|height_map|geoid", "a terrain model"),
    (
        r"inc|inc_map(?:_ell)?|inc_angle|incidence(?:_angle|_map)?|(?:projected_)?local_incidence(?:_angle)?|plia|lia"
        r"|ellipsoid_incidence_angle|look_angle|angle|linci|lv_phi|lv_theta",
        "an incidence angle",
    ),
    (r"ls|ls_?map|layover|layover_shadow(?:_mask|_map)?|shadow(?:_mask)?", "a layover and shadow map"),
    (r"scattering_area|rtc_anf\w*|anf", "a map of the scattering area"),
    (r"rgb|rgb_decomp|csi|csi_sidd|color|colour|false_colou?r", "a colour composite"),
    (r"browse\w*|preview|quick_?look|ql|thumbnail|thumb|ovw", "a quick-look"),
    (r"(?:water_?|nodata_|valid_|data_|cloud_)?mask|wm|qa|gim", "a mask"),
    (r"coh|coherence|unw_phase|wrapped_phase|phase|ifg|interferogram|los_disp|vert_disp", "an interferometric product"),
    (r"number_of_looks|nlooks|doy", "a map of the acquisition"),
    (r"landcover|land_cover|lulc|worldcover", "a map of classes"),
    (r"ratio|ndpi|rvi|rfdi|entropy|anisotropy", "a ratio or an index"),
)
# Words that also end the names of scenes ("study_area.tif"): they count beside a file of backscatter only.
_WEAK_PARTS: Final = (
    (r"area", "a map of the scattering area"),
    (r"dates?|days|count|looks", "a map of the acquisition"),
    (r"class(?:es)?|labels?", "a map of classes"),
    (r"height|slope|aspect", "a terrain model"),
    (r"alpha|corr", "an index"),
)
# Words that stand inside of the names of such parts: ICEYE, JAXA's mosaics and TerraSAR-X.
_INSIDE: Final = (
    (re.compile(r"(?:^|_)(?:quick_?look|preview|thumbnail|browse)(?:_|$)"), "a quick-look"),
    (re.compile(r"_(?:linci|lin|inc)_f\d\d"), "an incidence angle"),
    (re.compile(r"_date_f\d\d"), "a map of the acquisition"),
    (re.compile(r"_mask_f\d\d"), "a mask"),
    (re.compile(r"^gim_"), "an incidence angle and a mask"),
    (re.compile(r"^(?:ql|dist_ql|composite_ql|map_plot)(?:_|$)"), "a quick-look"),
)
_FOLDERS: Final = ("preview", "previews", "auxraster", "browse", "quicklook", "quicklooks", "thumbnails")
# Bands by description: what is no backscatter though it may name a polarisation.
_BAND_PARTS: Final = (
    (re.compile(r"angle|incid|\blia\b|linci"), "an incidence angle"),
    (re.compile(r"ratio|_over_|_div_|\bminus\b|\bdiv\b|ndpi|\brvi\b|rfdi"), "a ratio or an index"),
    (re.compile(r"(?<![a-z])(?:dem|dsm|elevation|altitude)(?![a-z])"), "a terrain model"),
    (re.compile(r"layover|shadow"), "a layover and shadow map"),
    (re.compile(r"(?<![a-z])mask(?![a-z])"), "a mask"),
    (re.compile(r"(?<![a-z])(?:coh|coherence|phase|ifg|unw)(?![a-z])"), "an interferometric product"),
    (re.compile(r"^[iq]_"), "a part of a complex value"),
    (re.compile(r"(?<![a-z])(?:std|stdev|stddev|variance)(?![a-z])"), "a measure of spread"),
    (re.compile(r"(?<![a-z])(?:nesz|noise_(?:power|floor))(?![a-z])"), "a noise power"),
)
# The same of bands that name none: "VV, 4 looks" and "VV, date 2020-06-07" are backscatter.
_UNPOLARISED_BAND_PARTS: Final = (
    (re.compile(r"(?<![a-z])(?:height|slope)(?![a-z])"), "a terrain model"),
    (re.compile(r"(?<![a-z])(?:flags?|qa|quality|valid)(?![a-z])"), "a mask"),
    (re.compile(r"^(?:b0\d|b1[0-2]|b8a|nir\d*|swir\d*|red_?edge\d*|ndvi)$"), "an optical band"),
    (re.compile(r"entropy|anisotropy|(?<![a-z])alpha(?![a-z])"), "an index"),
    (
        re.compile(r"(?<![a-z])(?:lat|latitude|lon|longitude|epoch|date|doy|looks|count)(?![a-z])"),
        "a coordinate or a map of the acquisition",
    ),
)
_UNIT_WORDS: Final[tuple[tuple[Unit, re.Pattern[str]], ...]] = (
    ("db", re.compile(r"(?<![a-z])(?:db|decibels?)(?![a-z])|(?:vv|vh|hh|hv|sigma0|gamma0|beta0)db(?![a-z])")),
    ("amplitude", re.compile(r"(?<![a-z])(?:amp|amplitude|mag|magnitude)(?![a-z])")),
    ("power", re.compile(r"(?<![a-z])(?:power|pow|intensity|linear|lin)(?![a-z])")),
)
_HYP3_UNIT: Final[dict[str, Unit]] = {"p": "power", "a": "amplitude", "d": "db"}
_HYP3: Final = (
    re.compile(r"_rtc\d\d_[gs]_[gs]([pad])[uw][nf][ec][dm]_"),  # ..._DVP_RTC30_G_gpuned_AB12
    re.compile(r"_[gs]_[gs]([pad])[nf](?:_|$)"),  # the older ..._RT30_..._G_gpn
    re.compile(r"_d\.([pad])[._]"),
)


def stem_of(name: str) -> str:
    """The file's name without folders and suffix, in lower case."""
    return re.sub(r"\.tiff?$", "", PurePosixPath(name).name, flags=re.IGNORECASE).lower()


def not_backscatter(name: str, *, beside_backscatter: bool = False) -> str | None:
    """What a file is, in words, where its name says that it is no backscatter; None where it does not.

    Args:
        name: of the file, with the folders it lies in.
        beside_backscatter: whether a file of backscatter of the same product lies beside it.
    """
    path, stem = PurePosixPath(name), re.sub(r"[-. ]+", "_", stem_of(name))
    folders = [part.lower() for part in path.parts[:-1]]
    if any(part in _FOLDERS for part in folders):
        return "a quick-look or an auxiliary raster"
    if what := other_raster(folders, stem):
        return what
    if what := first_named(_INSIDE, stem):
        return what
    for words, what in (*_PARTS, *(_WEAK_PARTS if beside_backscatter else ())):
        if re.search(rf"(?:^|_)(?:{words})(?:_?\d{{1,2}})?$", stem):
            return what
    return None


def band_not_backscatter(description: str) -> str | None:
    """What a band is, in words, where its description says that it is no backscatter; None where it does not."""
    text = description.strip().lower()
    polarisations = {found.upper() for found in POLARISATION.findall(text)}
    if what := first_named((*_BAND_PARTS, *(() if polarisations else _UNPOLARISED_BAND_PARTS)), text):
        return what
    if len(polarisations) > 1:
        return "a ratio or another combination of two polarisations"
    return None


def unit_in_words(text: str) -> Unit | None:
    """'db', 'amplitude' or 'power', where a description, a tag or a name has a word for one of them."""
    lowered = text.lower()
    return next((unit for unit, words in _UNIT_WORDS if words.search(lowered)), None)


def unit_of_product(name: str) -> tuple[Unit, str] | None:
    """(unit, why) where a file's name says in which unit the product is, else None."""
    stem = stem_of(name)
    for pattern in _HYP3:
        if found := pattern.search(f"{stem}_"):
            return _HYP3_UNIT[found[1]], f"the name's code {found[0].strip('_')!r} of a HyP3 product"
    if stem.startswith("opera_l2_rtc-s1"):
        return "power", "OPERA's RTC-S1 product is gamma nought in power"
    if "s1tiling" not in stem and re.search(r"(?:^|_)rtc$|\.rtc$", stem) and stem.startswith("iw-"):
        return "power", "the Planetary Computer's RTC product is gamma nought in power"
    if unit := unit_in_words(stem):
        return unit, f"the word for {UNIT_NAMES[unit]} in the file's name"
    return None


def calibration_of_product(name: str) -> tuple[float, str] | None:
    """(CALIBRATION_DB, why) of digital numbers whose product has a fixed one: dB = 20 log10(DN) - CALIBRATION_DB."""
    if re.search(r"_(?:sl|20)_(?:sl_)?(?:hh|hv)_f\d\d", stem_of(name)):
        return 83.0, "JAXA's mosaics are calibrated with -83 dB"
    return None


UNIT_NAMES: Final = {"db": "decibels", "amplitude": "amplitude", "power": "power"}


@dataclass(frozen=True)
class SceneKey:
    """Files with an equal key are the polarisations of one scene, if they lie on one grid."""

    folder: str
    stem: str


def scene_key(name: str) -> tuple[SceneKey, str] | None:
    """(key, polarisation) of a file that names exactly one polarisation, else None."""
    path, stem = PurePosixPath(name), stem_of(name)
    found = list(POLARISATION.finditer(stem))
    if len(found) != 1:
        return None
    rest = f"{stem[: found[0].start()]}*{stem[found[0].end() :]}"
    if stem.startswith("s1"):  # the number of the image in a SAFE product: -001 is VV, -002 is VH
        rest = re.sub(r"-00\d(?=$|[-_.])", "-00*", rest)
    return SceneKey(path.parent.as_posix(), rest), found[0][1].upper()


def folder_key(name: str) -> tuple[SceneKey, str] | None:
    """(key, polarisation) of a file whose folder names one polarisation: VV/x.tif is of one scene with VH/x.tif.

    None where none does, or the file's name says another one.
    """
    path, stem = PurePosixPath(name), stem_of(name)
    folders = [(part, POLARISATION.findall(part)) for part in path.parts[:-1]]
    said = next((found for _, found in reversed(folders) if found), [])
    in_stem = {found.upper() for found in POLARISATION.findall(stem)}
    if len(said) != 1 or not in_stem <= {said[0].upper()}:
        return None
    polarisation = said[0].upper()
    parts = [
        POLARISATION.sub("*", part) if [each.upper() for each in found] == [polarisation] else part
        for part, found in folders
    ]
    return SceneKey("/".join(parts), POLARISATION.sub("*", stem)), polarisation


def polarisation_of_product(name: str) -> tuple[str, str] | None:
    """(polarisation, why) of a file with one band that does not say it itself: its folder, or the product, has one."""
    if found := folder_key(name):
        return found[1], "the name of its folder"
    stem = stem_of(name)
    if stem.startswith("iceye_"):
        return "VV", "every ICEYE satellite sends and receives vertically"
    if single := re.search(r"_1ss([hv])_", stem):
        return 2 * single[1].upper(), f"the name's code {single[0].strip('_').upper()} of a Sentinel-1 product"
    return None


_PLATFORMS: Final = (
    (re.compile(r"(?<![a-z])s1([abcd])(?![a-z])"), lambda found: f"Sentinel-1{found[1].upper()}"),
    (re.compile(r"capella[_-]c(\d+)"), lambda found: f"Capella-{int(found[1])}"),
    (re.compile(r"umbra[_-](\d+)"), lambda found: f"Umbra-{found[1]}"),
    (re.compile(r"iceye[_-]x(\d+)"), lambda found: f"ICEYE-X{found[1]}"),
    (re.compile(r"(?<![a-z0-9])gf-?3([bc]?)(?![a-z0-9])"), lambda found: f"Gaofen-3{found[1].upper()}"),
    (re.compile(r"(?<![a-z0-9])rcm([123])(?![0-9])"), lambda found: f"RADARSAT Constellation {found[1]}"),
    (re.compile(r"(?<![a-z0-9])rs2(?![a-z0-9])"), lambda found: "RADARSAT-2"),
    (re.compile(r"(?<![a-z0-9])tsx1?(?![a-z0-9])"), lambda found: "TerraSAR-X"),
    (re.compile(r"(?<![a-z0-9])tdx1?(?![a-z0-9])"), lambda found: "TanDEM-X"),
    (re.compile(r"(?<![a-z0-9])pazs?1?_"), lambda found: "PAZ"),
    (re.compile(r"(?<![a-z0-9])csk(?![a-z])|(?<![a-z0-9])csks?(\d)"), lambda found: "COSMO-SkyMed"),
    (re.compile(r"(?<![a-z0-9])alos-?2|(?<![a-z0-9])alos2"), lambda found: "ALOS-2"),
    (re.compile(r"_(?:sl|20)_(?:sl_)?(?:hh|hv)_f02d"), lambda found: "ALOS-2"),
    (re.compile(r"(?<![a-z0-9])saocom-?([12][ab])"), lambda found: f"SAOCOM-{found[1].upper()}"),
    (re.compile(r"nisar"), lambda found: "NISAR"),
    (re.compile(r"umbra"), lambda found: "Umbra"),
    (re.compile(r"capella"), lambda found: "Capella"),
    (re.compile(r"iceye"), lambda found: "Iceye"),
    (re.compile(r"(?<![a-z0-9])alos(?![a-z0-9])"), lambda found: "ALOS"),
)


def platform_in_name(name: str) -> str | None:
    """The platform that a file's name, or the folder's it lies in, says; None where neither does."""
    for part in reversed(PurePosixPath(name).parts):
        for pattern, platform in _PLATFORMS:
            if found := pattern.search(part.lower()):
                return platform(found)
    return None


_TIMES: Final = (
    (re.compile(r"(?<!\d)(\d{8})t(\d{6})(?!\d)"), "{0}{1}"),
    (re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})[-t_](\d{2})-(\d{2})-(\d{2})(?!\d)"), "{0}{1}{2}{3}{4}{5}"),
    (re.compile(r"(?<!\d)(\d{14})(?!\d)"), "{0}"),
    (re.compile(r"(?<!\d)(\d{8})[_-](\d{6})(?!\d)"), "{0}{1}"),
    (re.compile(r"(?<!\d)(\d{4})[-_](\d{2})[-_](\d{2})(?!\d)"), "{0}{1}{2}000000"),
    (re.compile(r"(?<!\d)((?:19|20)\d{6})(?!\d)"), "{0}000000"),
)


def time_in_name(name: str) -> str | None:
    """The first time in a file's name, or in that of the folder it lies in, as ISO 8601; None where there is none."""
    for part in reversed(PurePosixPath(name).parts):
        for pattern, form in _TIMES:
            for found in pattern.finditer(part.lower()):
                try:
                    time = datetime.strptime(form.format(*found.groups()), "%Y%m%d%H%M%S")
                except ValueError:
                    continue
                if 1978 <= time.year <= 2100:  # SEASAT was the first
                    return time.isoformat()
    return None
