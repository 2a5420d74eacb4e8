"""What `import zoo` offers."""

from __future__ import annotations

import pytest

import zoo


@pytest.mark.parametrize("name", zoo.__all__)
def test_every_public_name_is_there(name):
    """Each name that the package lists can be had from it, those that need Keras too."""
    assert getattr(zoo, name) is not None
    assert name in dir(zoo)


def test_lazy_names_are_the_modules_own():
    """What is imported on first use is the very object of its module."""
    from zoo import audit, build, standardization

    assert zoo.build_model is build.build_model
    assert zoo.create_model is build.create_model
    assert zoo.initial_values is build.initial_values
    assert zoo.count_parameters is build.count_parameters
    assert zoo.load_model is build.load_model
    assert zoo.with_standardization is standardization.with_standardization
    assert zoo.audit_model is audit.audit_model
    assert zoo.Audit is audit.Audit


def test_unknown_name():
    """A name that is not there raises as any module does."""
    with pytest.raises(AttributeError, match="module 'zoo' has no attribute 'resnet50'"):
        _ = zoo.resnet50


def test_families_have_a_builder_and_a_variant():
    """Each family that is listed can be built, goes by one name, and has a named model."""
    from zoo.build import BUILDERS

    assert [family.family for family in zoo.FAMILIES] == list(BUILDERS)
    assert {type(variant.config) for variant in zoo.VARIANTS.values()} == set(zoo.FAMILIES)
    assert all(issubclass(family, zoo.ModelConfig) for family in zoo.FAMILIES)


def test_lazy_names_are_all_that_need_keras():
    """Every lazy name is listed as public, so that none is lost."""
    assert set(zoo._NEEDS_KERAS) <= set(zoo.__all__)
    assert len(zoo.__all__) == len(set(zoo.__all__))
