"""Keywords by which free text states a value of the schema; the earliest match counts."""

import re
from dataclasses import dataclass
from typing import Final

ABSENT: Final = "none"


@dataclass(frozen=True)
class KeywordRules:
    """How the free text of one clause is read.

    Attributes:
        values: Value -> pattern of words that state it.
        subject: What a negation has to be about to state the value "none" ("no buildings"); None where no negation
            states it.
        negated: Value -> the value that its negation states ("no grid" is irregular).
        scope: Pattern of the segments that are read, where the text also describes other things; None reads all.
        noun: Pattern of the thing itself. Where a segment affirms it, a qualified denial ("no prominent highways")
            does not state its absence.
        aspect: Pattern of what a negation may be about instead of the subject: "no clear separation of built zones"
            denies the separation, not the zones.
    """

    values: dict[str, re.Pattern[str]]
    subject: re.Pattern[str] | None
    negated: dict[str, str]
    scope: re.Pattern[str] | None = None
    noun: re.Pattern[str] | None = None
    aspect: re.Pattern[str] | None = None


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})", re.IGNORECASE)


def _rules(
    values: dict[str, str],
    *,
    subject: str | None = None,
    negated: dict[str, str] | None = None,
    scope: str | None = None,
    noun: str | None = None,
    aspect: str | None = None,
) -> KeywordRules:
    return KeywordRules(
        {value: _words(pattern) for value, pattern in values.items()},
        _words(subject) if subject else None,
        negated or {},
        _words(scope) if scope else None,
        _words(noun) if noun else None,
        _words(aspect) if aspect else None,
    )


NEGATION: Final = _words(
    r"no\b|not\b|without\b|lack|absence\b|absent\b|none\b|neither\b|nor\b|never\b"
    r"|free of\b|devoid\b|minimal to no\b"
    r"|undetect|invisible\b|nonexistent\b"
)
NEGATION_AFTER: Final = _words(
    r"absent\b|lacking\b|(?:is|are|was|were)? ?not (?:\w+ )?(?:visible|present"
    r"|apparent|evident|discern|detect|observ|"
    r"distinguish|identif|seen|prominent|obvious)|invisible\b|nonexistent\b"
)
# "No large river" does not say that there is none, "no visible river" does.
QUALIFIER: Final = _words(
    r"large|major|main\b|big\b|significant|substantial|extensive|wide\b|broad\b|dense"
    r"|regular|concentrat|cluster|"
    r"high|prominent|dominant|continuous|conspicuous|strong|pronounced|formal"
    r"|organized|grid|natural\b|open\b|sharp|abrupt"
)
HEDGE: Final = _words(
    r"possib|likely|may\b|might\b|probab|potential|suspected\b|perhaps\b|could\b|can be\b"
    r"|presum|suggest|if present|if any|"
    r"appears?\b|seem|ambiguous|uncertain|unclear|inferred|implied|indicative"
    r"|consistent with|resembl|presumably"
)
# A mixed use that is said to be mixed, and not only an urban area.
MIXED: Final = _words(
    r"(?:mixed|mix of)[- /]*(?:use[- ])?(?:urban|built|city|residen|industr|commerc"
    r"|develop|settlement)"
    r"|mixed[- ]use\b|(?:sub)?urban(?:[- /]\w+)? mixed\b|mixed (?:zone|area)\b[^;.]{0,12}urban"
)
# Where one statement ends and the next begins. A comma alone does not end a negation
# ("no large, clear rivers").
SEGMENT_END: Final = re.compile(
    r"[;.\u2014\u2013]|\s-\s|,?\s+(?=(?:but|although|though|however|while|whereas|except|only|yet)\b)"
    r"|,\s+(?=(?:no\b|not\b|without\b|possibl|likely|some\b|any\b|with\b|probabl|mainly|mostly"
    r"|and (?:possibl|likely|some)))"
    r"|\s+(?=with (?:some|possibl|likely|only|a few|minor)\b)",
    re.IGNORECASE,
)

_BUILT = (
    r"urban|built|building|residential|industr|commerc|settlement|develop|city\b|cities\b|town"
    r"|village|man-?made|artificial|port\b|"
    r"anthropogenic|construct|facilit|housing|infrastructure|human|block"
)

# Of what the distribution is one of: roads and field blocks are no built-up land.
_ZONES = _BUILT.replace("infrastructure|", "").removesuffix("|block")

RULES: Final[dict[str, KeywordRules]] = {
    "terrain": _rules(
        {
            "coast": r"coast|shore|estuar|tidal|littoral|beach|intertidal|island",
            "mountain": r"mountain|steep|alpine|rugged",
            "hills": r"hill|undulat|rolling|ridge|upland|plateau",
            "plain": r"plain|flat|lowland|delta|basin|alluvial|level\b",
            "open_water": r"open water|sea\b|ocean|marine|water surface|offshore",
        }
    ),
    "functionality": _rules(
        {
            "airport": r"airport|airfield|runway|aviation",
            "port": r"port\b|ports\b|harbou?r|dock|wharf|shipping|maritime",
            "commercial_core": r"commerc|business|downtown|cbd\b|city cent",
            "industrial": r"industr|factor|warehouse|logistic|mining|quarry|storage",
            "residential": r"residen|housing|suburban|village|settlement",
            "mixed_urban": r"(?:mixed|mix of)[- /]*(?:use[- ])?(?:urban|built|city|residen|industr|commerc"
            r"|development)|urban|built-?up|city\b|town\b|developed",
            "cropland": r"farm|agri|crop|paddy|cultivat|aquacultur|orchard|plantation|rural",
            "open_water": r"open water|open sea|ocean|sea\b|water surface|water body|water area|lake|reservoir",
            "natural": r"natur|forest|wood|vegetat|shrub|bare\b|barren|wetland|grass|hill|mountain|wilderness"
            r"|floodplain|undeveloped|open (?:land|ground)|green",
        }
    ),
    "distribution": _rules(
        {
            "uniform": r"throughout|even(?:ly)?\b|uniform|homogene|across (?:the |most|much|image|entire|nearly"
            r"|almost)|in most (?:areas|parts)|broadly distributed|entire|most of|widespread|"
            r"dominat(?!\w* (?:the )?(?:cent|middle|core|upper|lower|left|right|north|south|east|west))|"
            r"extensive|predominant|whole|cover(?:s|ing)? (?:the|most|nearly|almost)|fill|all over",
            "central": r"cent(?:er|re|ral)(?!\w*[- /](?:water|river|lake|canal|channel|corridor|axis"
            r"|natural|vegetat|transport|diagonal))|middle|core\b|mid-",
            "linear": r"linear(?![- ](?:\w+ )?(?:feature|element|infrastructur|corridor|transport|road|network|route))"
            r"|along\b|strip|aligned|ribbon|axis",
            "scattered": r"scatter|dispers|patch|intersper|sporadic|fragment|isolated|mosaic|interming|irregular",
            "peripheral": r"upper|lower|left|right|north|south|east|west|corner|edge|peripher|border|side|top\b"
            r"|bottom|margin|outskirt|fringe",
        },
        subject=_BUILT,
        scope=_ZONES,
        aspect=r"zoning|zonation|zonal|separat|divi(?:sion|ded)|segregat|differentiat|partition|distinction|delineat",
    ),
    "layout": _rules(
        {
            "regular": r"grid|regular|rectilinear|orthogonal|organi[sz]ed|structured|rectang|parallel|geometric"
            r"|ordered|orderly|planned|systematic|block",
            "irregular": r"irregular|organic|diffuse|unorgani[sz]ed|scatter|dispers|patch|fragment|branch|curvi"
            r"|dendritic|undulat|meander|loose(?!ly grid)|unplanned"
            r"|natural(?!\w*[ /](?:hill|area|land|terrain|zone|region|vegetat|feature|patch))|"
            r"non-?grid|unstructured|amorphous|disorgani|mosaic|heterogen|winding|radial",
        },
        negated={"regular": "irregular"},
    ),
    "boundary": _rules(
        {
            "gradual": r"gradual|diffuse|soft|smooth(?!,? (?:and )?sharp)|indistinct|blurr|fuzzy|undulat|gentle"
            r"|transitional|(?:poor|ill|weak|vague|loose)ly?[- ]defined|subtle|"
            r"irregular|meander|interming|unclear|interwoven|intermix|organic|natural|faint",
            "sharp": r"sharp|abrupt|(?:clear|distinct)(?!\w*,? (?:but |and )?gradual)|well[- ]defined|defined\b"
            r"|straight|strong|marked|crisp"
            r"|delineat|rectang|rectilinear|hard\b|pronounced|"
            r"linear|prominent|demarcat|geometric|regular|evident|artificial",
        },
        subject=r"boundar|border|edge|separation|division",
        negated={"sharp": "gradual"},
    ),
    "building": _rules(
        {
            "dense": r"dense|abundan|numerous|many\b|high[- ](?:density|building|concentration)|heav|extensive"
            r"|concentrat|widespread|large number|"
            r"packed|tightly|compact|high\b|intensive|strong",
            "medium": r"moderate|medium|several|multiple|clusters?\b(?![^;,.]{0,30}\bdens)|clustered"
            r"|(?<!if )present\b|presence"
            # "Regular, dense": how they look says less than how many there are.
            r"|(?:regular|visible|prominent|significant|clear|"
            r"large\b|substantial|distinct|notable|evident|mainly)(?![^;.]{0,30}\b(?:dens|sparse))",
            "sparse": r"sparse|few\b|scatter|isolated|minor|low[- ]density|limited|small|occasional|minimal"
            r"|rural|some\b|weak|dispersed|sporadic|low\b",
        },
        subject=r"building|structure|construct|built|visible|present|detect|observ|identif|apparent|evident"
        r"|cluster|settlement",
        noun=r"buildings?\b|structure|settlement|construct|village",
    ),
    "road": _rules(
        {
            "grid": r"grid|orthogonal|perpendicular|rectilinear|dense(?: and \w+)? (?:road|network)|intersecting"
            r"|regular|organi[sz]ed|planned"
            r"|(?:city|urban|divid\w+|defin\w+|form\w+|separat\w+|delineat\w+)[^;,.]{0,25}\bblock",
            "highway": r"highway|expressway|freeway|motorway|rail|major|main\b|transport(?:ation)? corridor"
            r"|wide|arterial|primary|prominent|large",
            "sparse": r"minor|few\b|some\b|narrow|path|track|faint|limited|small|local|secondary|sparse|trail"
            r"|single|rural|isolated|weak|occasional|one\b|roads? (?:present|visible)",
        },
        subject=r"road|transport|route|corridor|highway|path|visible|present|detect|observ|identif|apparent"
        r"|evident|clear|linear|network|street",
        noun=r"roads?\b|streets?\b|highway|transport|route|path|track",
    ),
    "water": _rules(
        {
            "sea": r"sea\b|ocean|coast|bay\b|open water|harbou?r|marine|tidal|estuar|shore",
            "channel": r"river|channel|canal|stream|creek|ditch|waterway|drainage|(?:linear|narrow|sinuous"
            r"|elongated|winding)\b[^;.]{0,25}water|"
            r"water (?:corridor|course|strip|line)|watercourse|brook|tributar|linear",
            "lake": r"lake|pond|reservoir|lagoon|wetland|aquacultur|pool|basin|marsh|flooded",
        },
        subject=r"water|river|lake|visible|present|detect|observ|identif|apparent|evident|bod(?:y|ies)"
        r"|channel|stream|surface",
        noun=r"water|rivers?\b|streams?\b|ponds?\b|lakes?\b|channels?\b|canals?\b",
    ),
}
assert all(ABSENT not in rules.values for rules in RULES.values())
