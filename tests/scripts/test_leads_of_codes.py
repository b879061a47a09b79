"""Leads of codes over pixels: by seed, with and without trainings in which a network learned nothing."""

from pathlib import Path

import leads_of_codes
import reproduce_color
from click.testing import CliRunner
from leads_of_codes import COLUMNS, RESULTS, cells, lines
from results_files import apart, read_results

ROOT = Path(__file__).parents[2]
README = {
    "one image of pixels, from a real one": "DM, pixels from real images",
    "FreD, 16 images as frequencies, no generator": "DM, FreD, equal numbers",
    "24 codes in W of the generator": "DM, codes W, equal numbers",
    "the same before any optimization": "codes W before optimization, equal numbers",
    "four real images that k-means chooses (8 bits, as many bytes)": (
        "real images nearest to k-means centers, equal bytes"
    ),
}
"""Rows of README.md, and what they are in the results."""


def sets(*by_seed):
    """Two trainings of each network; ``alexnet`` by distillation seed, the others 20 and 22."""
    same = {name: [20.0, 22.0] for name in ("convnet", "vgg11", "resnet18")}
    return {str(seed): {"accuracy": same | {"alexnet": list(alexnet)}} for seed, alexnet in enumerate(by_seed)}


def test_the_table_of_the_page_is_that_of_the_results():
    table = [f"| {' | '.join(line)} |" for line in (COLUMNS, ["---"] * len(COLUMNS), *lines(RESULTS))]
    assert len(table) > 20
    assert "\n".join(table) in (ROOT / "docs" / "RESULTS.md").read_text()


def test_the_rows_of_the_readme_at_equal_numbers_are_those_of_the_results():
    found = read_results(RESULTS / "photographs.json"), read_results(RESULTS / "cifar10_codes.json")
    page = [[cell.strip() for cell in line.split("|")] for line in (ROOT / "README.md").read_text().splitlines()]
    for words, row in README.items():
        (written,) = (cells[2:4] for cells in page if cells[1:2] == [words])
        tables = ({line[0]: f"{line[4]}, {line[-1]}" for line in reproduce_color.cells(one)} for one in found)
        assert written == [table.get(row, "") for table in tables]


def test_the_leads_of_the_readme_are_those_over_pixels_from_noise():
    page = (ROOT / "README.md").read_text()
    head = next(line for line in page.splitlines() if line.startswith("| over pixels from noise |"))
    names = [name.strip() for name in head.split("|")[2:-1]]
    found = {}
    for images, per_class, how, start, *_, cross, _, _ in lines(RESULTS):
        if (per_class, start) == ("1", "noise"):
            found.setdefault(images, {})[how] = cross
    for images in ("photographs, 32 px", "photographs, 64 px", "CIFAR-10, 32 px"):
        written = [cell.strip() for cell in page.split(f"\n| {images} |")[1].splitlines()[0].split("|")[:-1]]
        assert written == [found[images].get(name, "") for name in names]


def test_a_training_that_learned_nothing_counts_in_one_column_and_is_left_out_of_the_other():
    codes, pixels = sets((30.0, 30.0), (30.0, 30.0)), sets((24.0, 24.0), (24.0, 10.0))
    assert apart(codes, pixels, ["0", "1"], ["alexnet"]) == [6, 13]
    assert apart(codes, pixels, ["0", "1"], ["alexnet"], 12.0) == [6, 6]
    (line,) = cells({"DM, codes W+": codes}, {"DM, pixels from noise": pixels})
    assert line == ["DM", "noise", "2", "+0.0 ± 0.0", "+3.2 ± 1.6", "+2.0 ± 0.0", "23 of 24"]


def test_a_set_on_which_a_network_never_learned_has_no_lead_without_it():
    codes, pixels = sets((30.0, 30.0), (30.0, 30.0)), sets((24.0, 24.0), (10.0, 11.9))
    assert apart(codes, pixels, ["0", "1"], ["alexnet"], 12.0) == [6]
    del pixels["0"]
    (line,) = cells({"DM, codes W+": codes}, {"DM, pixels from noise": pixels})
    assert line[4:] == ["+6.3", "", "10 of 12"]


def test_only_sets_of_both_that_all_networks_were_trained_on_count():
    codes, pixels = sets((30.0, 30.0), (40.0, 40.0), (50.0, 50.0)), sets((24.0, 24.0), (24.0, 24.0))
    del pixels["1"]["accuracy"]["vgg11"]
    (line,) = cells({"MTT, codes W+": codes}, {"MTT, pixels from real images": pixels})
    assert line[:3] == ["MTT", "real images", "1"] and line[4] == "+2.0"
    assert list(cells({"MTT, codes W+": codes}, {"AST, pixels from real images": pixels})) == []


def test_the_command_prints_the_table_and_refuses_a_folder_without_results(tmp_path):
    printed = CliRunner().invoke(leads_of_codes.main, [])
    assert printed.exit_code == 0
    assert "CIFAR-10, 32 px" in printed.output
    refused = CliRunner().invoke(leads_of_codes.main, ["--results", str(tmp_path)])
    assert refused.exit_code == 1 and refused.output.startswith(f"Error: {tmp_path / 'photographs.json'}")
