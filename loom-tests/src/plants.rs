//! Which models notice which planted fault.
//!
//! Owns that table, and nothing of how it is checked (`runner`). A fault that no model notices would mean that an ordering
//! is stronger than it need be, or that a model is blind.

use signalpost_core::sync::Plant;

/// Models that must fail when this is planted: at least one, the first to be tried first.
pub const fn noticed_by(plant: Plant) -> &'static [&'static str] {
    match plant {
        Plant::Light | Plant::Heavy => &["a_pinned_snapshot_is_never_freed"],
        Plant::Enter => &["a_reader_that_comes_back_is_not_taken_for_the_one_before"],
        Plant::Leave | Plant::Scan => &["a_snapshot_is_freed_after_its_last_reader"],
        Plant::Forward | Plant::Value => &["a_publish_sees_one_whole_snapshot"],
        Plant::Versions | Plant::NeverBack => &["three_writers_one_of_them_lagging"],
        Plant::Born | Plant::Find => &["a_cell_born_late_is_seen_whole"],
        Plant::Claim | Plant::GiveBack => &["a_slot_goes_from_thread_to_thread"],
        Plant::SlotPush | Plant::SlotWalk => &["a_slot_pushed_during_a_scan"],
        Plant::StackPush | Plant::StackTake => &["what_one_writer_retires_another_collects"],
        Plant::LatchSet | Plant::LatchSeen => &["a_latch_says_that_the_captures_are_gone"],
        Plant::LeftSecond => &["a_block_is_freed_by_the_second_to_leave"],
        Plant::CancelFence => &["a_cancel_before_the_edit_returns_is_kept"],
        Plant::EndedSet => &["what_ended_by_itself_is_swept_by_a_later_write"],
        Plant::PushLight | Plant::SleepHeavy => &["a_receiver_that_falls_asleep_is_woken"],
        Plant::GoneHeavy => &["what_comes_while_the_last_receiver_goes_is_dropped"],
        Plant::CloseSet | Plant::CloseSeen => &["what_came_before_the_close_is_received"],
        Plant::EndHeavy => &["the_ring_of_a_thread_that_ended_is_emptied_first"],
        Plant::GateOpen | Plant::GateSeen => &["an_open_gate_shows_what_was_caught_up"],
        Plant::LastLight | Plant::LastHeavy | Plant::RoundFirst => {
            &["the_last_reader_drops_what_was_replaced"]
        }
        Plant::WriterPin => &["a_writer_copies_from_a_live_snapshot"],
        Plant::OwnWord => &["an_outer_read_outlives_inner_reads_elsewhere"],
        Plant::EmptyTag => &["a_slow_change_does_not_undo_a_later_emptying"],
        Plant::HelpForward => &[
            "a_second_cancel_helps_a_lagging_first",
            "a_key_finds_its_channel_though_another_thread_is_still_adding_it",
        ],
        Plant::PointerFirst => &["a_thread_that_gave_its_slot_back_takes_another"],
        Plant::InsideCheck => &["a_wait_inside_a_publish_of_the_same_dispatcher_is_an_error"],
        Plant::WaitForLatch => &["a_waiter_is_not_misled_by_a_collector_in_the_middle"],
        Plant::HeavyResult => &["a_heavy_barrier_that_fails_frees_nothing"],
        Plant::CompareAndSwap => &["concurrent_updates_lose_nothing"],
        Plant::PassOn | Plant::ToldHeavy => &["what_a_dropped_future_was_told_is_passed_on"],
        Plant::Touch => &["a_late_subscriber_misses_nothing"],
        Plant::TurnShown | Plant::TurnSeen | Plant::TaskShown | Plant::TaskSeen => {
            &["a_silent_turn_names_its_own_task"]
        }
        Plant::BellLight | Plant::BellHeavy => &["a_monitor_does_not_sleep_while_a_thread_runs"],
        Plant::BellArmed | Plant::BellDisarmed => &["who_rings_sees_who_sleeps"],
        Plant::BellSwap => &["one_monitor_that_arms_the_bell_hides_no_other"],
    }
}
