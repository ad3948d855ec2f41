"""Which tests take minutes for what a commit seldom breaks: CI runs them, `make test` does not. And
which of the unit tests take a second or more, together half of all: `make test` runs them, `make
check` does not. Both chosen by measured seconds.
"""

from __future__ import annotations

__all__ = ["LONG", "THOROUGH"]

# By the beginning of their names.
THOROUGH = (
    "tests/benchmarks/",  # signs of life of what `make benchmark` measures
    "tests/browser/test_report_access.py",
    "tests/fuzz/",
    "tests/integration/test_aarch64.py",
    "tests/integration/test_action.py",
    "tests/integration/test_cache_sim.py",
    "tests/integration/test_failed.py",
    "tests/integration/test_fleet.py",
    "tests/integration/test_fleet_of_200.py",
    "tests/integration/test_gallery.py",
    "tests/integration/test_gallery_elsewhere.py",
    "tests/integration/test_gate_revision.py",
    "tests/integration/test_instructions.py",
    "tests/integration/test_interruption.py",
    "tests/integration/test_long_traces.py",
    "tests/integration/test_program_endings.py",
    "tests/integration/test_program_syscalls.py",
    "tests/integration/test_record_sanitizers.py",
    "tests/integration/test_reproducible.py",
    "tests/integration/test_restricted.py",
    "tests/integration/test_resume.py",
    "tests/integration/test_sanitizers.py",
    "tests/integration/test_scenarios.py",
    "tests/integration/test_site.py",
    "tests/integration/test_threads.py",
    "tests/integration/test_tune.py",
    "tests/integration/test_wheel.py",
)

LONG = (
    "tests/unit/allocator/test_source.py::test_a_changed_header_is_another_object",
    "tests/unit/analysis/test_latency_causes.py::test_shares_are_what_counting_the_calls_one_by_one_gives",
    "tests/unit/analysis/test_thin.py::test_rows_ascend_without_repeats_and_never_name_a_missing_latency",
    "tests/unit/analysis/test_thin.py::test_the_slowest_call_of_every_cause_is_kept",
    "tests/unit/analysis/test_thin.py::test_the_slowest_calls_are_all_kept",
    "tests/unit/commands/test_ci_log.py::test_no_text_of_a_verdict_begins_a_command",
    "tests/unit/commands/test_ci_log.py::test_nor_does_what_an_allocator_said_last",
    "tests/unit/commands/test_extreme_numbers.py::test_a_baseline_with_any_number_anywhere_is_gated_against_or_refused",
    "tests/unit/commands/test_extreme_numbers.py::test_a_verdict_with_any_number_anywhere_is_shown_or_refused",
    "tests/unit/commands/test_revisions.py::test_a_bisection_ends_with_the_answer_and_exit_code_3",
    "tests/unit/compare/test_compare_runs.py::test_identical_counts_that_vary_get_no_verdict_between_two_runs",
    "tests/unit/export/test_bencher.py::test_every_measure_has_a_slug_and_finite_numbers_within_their_bounds",
    "tests/unit/export/test_google_benchmark.py::test_each_round_of_a_timed_cell_is_a_repetition_with_its_own_times",
    "tests/unit/export/test_hdr.py::test_the_log_has_every_distribution_of_the_run_under_its_tag",
    "tests/unit/files/test_untrusted.py::test_no_scenario_has_more_operations_than_it_was_said_to",
    "tests/unit/gate/test_bisection.py::test_the_first_worse_commit_is_found_wherever_it_is",
    "tests/unit/gate/test_revisions.py::test_two_do_not_build_the_same_at_once",
    "tests/unit/gate/test_sessions.py::test_counts_that_vary_among_copies_do_not_fail_identical_arms",
    "tests/unit/history/test_writers.py::test_two_processes_add_and_are_killed_fifty_times_and_every_run_is_there_once",
    "tests/unit/hosts/test_execution.py::test_a_job_that_ended_is_not_run_again_and_its_archive_is_its_run_directory",
    "tests/unit/judge/test_counted.py::test_identical_arms_get_no_verdict_beyond_the_stated_level",
    "tests/unit/machine/test_lock.py::test_a_run_directory_is_filled_by_one_process",
    "tests/unit/recorder/test_convert.py::test_the_trace_has_the_program_s_objects_order_and_live_curve",
    "tests/unit/recorder/test_event_file.py::test_random_recordings_are_read_as_they_were_written",
    "tests/unit/run/test_foreign.py::test_what_export_writes_is_imported_with_the_same_times",
    "tests/unit/run/test_plan.py::test_allocators_come_in_every_order_within_their_block",
    "tests/unit/run/test_plan.py::test_over_many_rounds_each_cell_comes_first_and_last",
    "tests/unit/run/test_resume.py::test_a_journal_torn_at_any_byte_of_its_last_line_loses_that_process_only",
    "tests/unit/run/test_resume.py::test_a_run_that_another_process_fills_is_refused",
    "tests/unit/scenario/test_collection.py::test_each_scenario_has_one_digest_whatever_the_process_and_the_processor",
    "tests/unit/scenario/test_families.py::test_each_shipped_scenario_makes_a_valid_trace_of_moderate_length",
    "tests/unit/scenario/test_family_threads.py::test_every_scenario_with_threads_has_a_number_of_them_to_sweep",
    "tests/unit/scenario/test_family_threads.py::test_posts_and_waits_come_in_pairs_in_every_threaded_scenario",
    "tests/unit/scenario/test_program.py::test_equal_seeds_make_equal_inputs",
    "tests/unit/stats/test_paired.py::test_an_effect_of_exactly_theta_is_flagged_at_most_at_the_nominal_rate",
    "tests/unit/tune/test_tuning.py::test_between_copies_of_one_setting_none_is_found",
)
