"""The page on faults runs, and each message in it names the node, what was given, what was declared and the fix."""

import contextlib
import importlib
import io
import pathlib
import re

import pytest

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "howto" / "faults.md"
WIDTH, LINES = 100, 4

# heading in the page: the node, what was given, what was declared, the fix
PROGRAMS = {
    "A name with a typing error": (
        "condition(score=...)",
        "'score'",
        "mu, tau, theta, scores",
        "Did you mean 'scores'?",
    ),
    "Data of another shape": ("condition(scores=...)", "(8, 1)", "declared (8,)", "Pass an array of shape (8,)."),
    "A parent that was not declared": ("joint(y=...)", "'mu'", "no other names declared", "Declare it, mu=..."),
    "An energy that is not one number": ("bowl", "shape (2,)", "x(2,)", "Add .sum()."),
    "A discrete variable under NUTS": ("k", "NUTS()", "declared Binary()", "model.marginalize('k')"),
    "A negative scale": ("y: ", "-2.0 at (1,)", "scale was declared Positive", "Correct the number."),
    "A cycle": ("a -> b -> c -> a", "cycle", "joint(...)", "Break it at one arrow."),
    "Observing what is computed": (
        "condition(average=...)",
        "average",
        "computed from mu, tau, theta",
        "Condition on mu",
    ),
    "A product of densities whose supports clash": (
        "x lives in",
        "Interval(0.0, 1.0) on the left",
        "Interval(0.5, 2.0) on the right",
        ".rename(x=...)",
    ),
    "A mixture of energies": ("part 1", "not normalised", "energy(x)", "Mix normalised models"),
    "Data with holes": ("condition(scores=...)", "NaN (first at (3,))", "1 of 8", 'missing="marginalise"'),
    "A value outside the support": ("condition(tau=...)", "-1.0", "declared Positive()", "Check the data"),
    "An input without a value": ("compile(...)", "inputs x", "no value", ".condition(x=...)"),
    "Maximum likelihood of an energy": (
        "energy(x, a)",
        "MaximumLikelihood()",
        "constant is unknown",
        "gm.ContrastiveDivergence",
    ),
    "A marginal that has no closed form": ("marginalize('z')", "no exact rule", "p(x | z) is not Gaussian", "gm.AIS"),
    "Two sides of a product that mean different data": (
        "'m'",
        "data",
        "differs between the two sides",
        ".rename(m=...)",
    ),
    "A name declared twice": ("joint(x=...)", "twice", "in the dict and by keyword", "a name of its own"),
    "A start that is NaN": ("'theta'", "8 of 8 values are NaN", "init=", "Give finite starts."),
    "A start outside the support": ("far(x)", "x=0.", "-inf", "Give another start."),
    "A term that is NaN everywhere": ("p(y | mu)", "mu=", "nan", "Mend the first factor below"),
    "Training that runs away": ("fit(...)", "step", "not finite", "Lower the learning rate"),
}

# what is to happen: the tests that hold it, and the row of the page that says it
FAULTS = {
    "logp_nan_everywhere": ("declaration:a_density_that_is_nan_everywhere_is_refused_with_the_term_and_the_start",),
    "logp_neg_inf_at_start": (
        "declaration:a_start_outside_the_support_is_said_to_be_that_with_its_value",
        "declaration:a_start_that_was_not_given_is_tried_a_hundred_times",
    ),
    "nan_region": ("sampling:a_nan_region_is_rejected_counted_and_warned_of_once",),
    "improper_flat": ("sampling:a_constant_log_density_is_never_ok",),
    "start_nan": ("declaration:a_start_that_is_no_number_names_the_parameter",),
    "vector_logp": ("declaration:an_energy_that_is_a_vector_is_refused_when_it_is_declared",),
    "shape_broadcast_N_by_1": ("declaration:one_axis_more_in_the_data_is_an_error_and_no_square_of_terms",),
    "nan_in_data": ("declaration:nan_in_data_is_an_error_unless_it_is_declared_missing",),
    "negative_scale": ("declaration:a_negative_scale_is_refused_when_the_model_is_declared",),
    "duplicate_name": ("declaration:a_name_that_is_declared_twice_is_an_error",),
    "cycle_in_graph": ("declaration:a_cycle_is_printed_when_the_model_is_declared",),
    "float32_underflow": (
        "declaration:a_mixture_sixty_deviations_away_is_finite_in_single_precision",
        "declaration:where_all_components_underflow_the_gradient_is_no_nan",
    ),
    "discrete_to_hmc": ("declaration:a_discrete_variable_is_named_with_what_to_do",),
    "constant_chain": ("sampling:a_stuck_chain_is_flagged_although_its_effective_size_is_full",),
    "modes_not_crossed": ("sampling:chains_that_do_not_cross_between_forty_modes_are_not_ok",),
    "ais_all_weights_zero": ("sampling:a_reference_that_never_meets_the_target_gives_no_nan",),
    "energy_training_diverges": ("declaration:training_that_diverges_stops_and_keeps_the_last_finite_model",),
    "checkpoint_truncated": (
        "interruptions:a_damaged_checkpoint_is_refused_and_the_one_before_serves",
        "interruptions:a_checkpoint_of_another_model_is_refused_and_stays_usable",
    ),
    "kill9_during_write": ("interruptions:two_hundred_kills_in_many_runs_all_end_in_the_same_bits",),
    "chains_parallel_equals_sequential": (
        "interruptions:chains_side_by_side_and_one_after_the_other_give_the_same_draws",
        "interruptions:chains_in_processes_of_their_own_give_the_same_draws",
    ),
    "fork_after_jax": ("fork:a_forked_child_is_told_and_never_hangs",),
}
MODULES = {
    "declaration": "tests.faults.test_declaration_faults",
    "sampling": "tests.faults.test_sampling_faults",
    "interruptions": "tests.faults.test_interruptions",
    "fork": "tests.core.runtime.test_fork",
}


@pytest.fixture(scope="module")
def printed():
    """What each section of the page prints, by heading."""
    found, names, heading = {}, {}, ""
    for part in re.split(r"^(#+ .*)$", PAGE.read_text(), flags=re.MULTILINE):
        if part.startswith("#"):
            heading = part.lstrip("# ")
        for cell in re.findall(r"^```\{code-cell\} python\n(.*?)^```", part, flags=re.MULTILINE | re.DOTALL):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(cell, heading, "exec"), names)
            found[heading] = found.get(heading, "") + out.getvalue()
    return found


@pytest.mark.parametrize("heading", PROGRAMS)
def test_a_message_has_four_parts_and_at_most_four_lines(printed, heading):
    said = printed[heading].rstrip("\n")
    lines = said.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= WIDTH
    flat = " ".join(said.split())
    for part in PROGRAMS[heading]:
        assert part in flat, part


def test_every_wrong_program_of_the_page_is_looked_at(printed):
    assert set(PROGRAMS) | {"Inside a run"} == {heading for heading, said in printed.items() if said}


def test_what_goes_wrong_inside_a_run_is_said_on_the_page(printed):
    said = printed["Inside a run"]
    assert "% of the proposals" in said
    assert "suspect" in said
    assert "failed" in said
    assert said.rstrip().endswith("-inf failed ESS 0.0")


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_a_test(fault):
    for where in FAULTS[fault]:
        module, name = where.split(":")
        assert callable(getattr(importlib.import_module(MODULES[module]), f"test_{name}"))


def test_the_page_has_a_row_for_every_fault():
    rows = re.findall(r"^\| (?!fault \|)(.*?) \| (.*?) \|$", PAGE.read_text(), flags=re.MULTILINE)
    assert len(rows) == len(FAULTS) == 21
