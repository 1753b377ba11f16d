"""The default schema file says what the constants said before it."""

import pickle

from hcot_llm.initial import error_rates
from hcot_llm.initial.annotations import GEOGRAPHY_CONFIDENCE
from hcot_llm.schema import clauses as before
from hcot_llm.schema.annotation_schema import AccuracyByValue, AnnotationSchema
from hcot_llm.schema.files import DEFAULT, default_schema
from hcot_llm.text.wording import WORDING, every_sentence
from support.paths import ROOT

HCOT = default_schema()


def test_clauses_and_values_are_in_the_same_order():
    assert HCOT.names == before.CLAUSES
    assert list(HCOT.vocabulary.items()) == list(before.VOCABULARY.items())
    assert HCOT.group == before.GROUP
    assert HCOT.level == before.LEVEL
    assert tuple(level.level for level in HCOT.levels) == before.LEVELS
    assert HCOT.blocks[0].clauses == before.TARGET_CLAUSES
    assert {name: HCOT.absence[name] for name in HCOT.blocks[0].clauses} == before.NO_TARGETS


def test_every_sentence_is_the_same_and_in_the_same_order():
    assert list(HCOT.sentences.items()) == list(every_sentence().items())
    assert all(len(HCOT.clause(name).templates) == len(WORDING[name].templates) for name in HCOT.names)


def test_error_rates_are_the_same():
    for clause in HCOT.clauses:
        if clause.name in error_rates.LANDFORM_ACCURACY:
            assert clause.accuracy == error_rates.LANDFORM_ACCURACY[clause.name]
        else:
            assert isinstance(clause.accuracy, AccuracyByValue)
            assert clause.accuracy.accuracy == {
                category: rates[clause.name] for category, rates in error_rates.TARGET_ACCURACY.items()
            }
        assert clause.geography.confidence == GEOGRAPHY_CONFIDENCE[clause.name]
        assert clause.geography.value == before.NO_TARGETS.get(clause.name)
        for value in clause.values if clause.name in error_rates._CONFUSIONS else ():
            assert clause.confusions[value] == error_rates.weights(error_rates._CONFUSIONS[clause.name][value])
    invented = HCOT.blocks[0].invented
    assert list(invented.shares.items()) == list(error_rates.CATEGORY_SHARE.items())
    for kind in invented.kinds:
        rates = error_rates.INVENTED[kind.value]
        aspects = [aspect for aspect in kind.aspects if aspect.weights]
        assert [aspect.clause for aspect in aspects] == list(rates)
        assert all(aspect.weights == error_rates.weights(rates[aspect.clause]) for aspect in aspects)


def test_the_file_in_configs_is_the_packaged_one():
    assert (ROOT / "configs" / "schema" / "hcot.yaml").resolve() == DEFAULT.resolve()


def test_a_schema_survives_pickling_and_its_own_json():
    assert pickle.loads(pickle.dumps(HCOT)) == HCOT
    again = AnnotationSchema.model_validate(HCOT.model_dump(mode="json"))
    assert again == HCOT
    assert hash(again) == hash(HCOT)
