"""What stands in settings for an object of Python."""

import collections
from pathlib import Path

from glad.settings import objects

ROOT = Path(objects.__file__).parents[2]


def test_an_object_is_known_by_its_class():
    name = objects.name_of(collections.Counter())
    assert objects.is_object(name) and not objects.is_object(objects.name_of("fashion-mini"))
    assert not objects.is_object(None) and not objects.is_object("objects:x")
    settings = {"data": "a-folder", "prior": name, "objective": objects.name_of(Path()), "out": name}
    assert objects.objects_in(settings).keys() == {"prior", "objective"}
    assert objects.objects_in(settings)["prior"] == "collections.Counter"
    assert objects.objects_in({}) == {}


def test_its_mark_is_known_in_one_module():
    found = [path.name for folder in ("glad", "generators") for path in (ROOT / folder).rglob("*.py")
             if f'"{objects._MARK}' in path.read_text()]  # fmt: skip
    assert found == ["objects.py"]
