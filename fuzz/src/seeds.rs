//! Hand-written histories, one idea each: where the fuzzer begins, and what is replayed whatever it finds.

use crate::program::{Answer, Early, How, Op, Program, Script, Step};

const PLAIN: How = How { flags: 0, priority: 0, script: 0, on_drop: 0 };
const ONCE: How = How { flags: How::ONCE, ..PLAIN };
const PAUSED: How = How { flags: How::PAUSED, ..PLAIN };
const WEAK: How = How { flags: How::WEAK, ..PLAIN };
/// Bytes of priorities, by `program::PRIORITIES`.
const HIGH: u8 = 4;
const LOW: u8 = 3;

fn runs(script: u8) -> How {
    How { script, ..PLAIN }
}

fn dies(on_drop: u8) -> How {
    How { on_drop, ..PLAIN }
}

fn north(how: How) -> Op {
    Op::Subscribe { at: 0, how }
}

fn south(how: How) -> Op {
    Op::Subscribe { at: 1, how }
}

fn edit(steps: &[Step]) -> Op {
    Op::Edit { at: 0, steps: steps.to_vec(), catch: 1 }
}

const PUBLISH: Op = Op::Publish { at: 0, catch: 1 };
const PUBLISH_SOUTH: Op = Op::Publish { at: 1, catch: 1 };
const PUBLISH_OR_UNDO: Op = Op::PublishOrUndo { at: 0, catch: 1 };
const LIST: Op = Op::List { at: 0 };
const RETIRED: Op = Op::Retired { at: 0 };

fn answer(answer: Answer, ops: &[Op]) -> Script {
    Script { answer, ops: ops.to_vec() }
}

fn does(ops: &[Op]) -> Script {
    answer(Answer::Fine, ops)
}

fn program(scripts: &[Script], main: &[Op]) -> Vec<u8> {
    Program { handles_first: 0, scripts: scripts.to_vec(), main: main.to_vec() }.encode()
}

fn handles_first(scripts: &[Script], main: &[Op]) -> Vec<u8> {
    Program { handles_first: 1, scripts: scripts.to_vec(), main: main.to_vec() }.encode()
}

/// A name, and the bytes of a history.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let stop = || answer(Answer::Stop, &[]);
    let panic = || answer(Answer::Panic, &[]);
    vec![
        (
            "priority_then_arrival",
            program(
                &[],
                &[
                    north(How { priority: LOW, ..PLAIN }),
                    north(PLAIN),
                    north(How { priority: HIGH, flags: How::NAMED, ..PLAIN }),
                    north(PLAIN),
                    LIST,
                    PUBLISH,
                    Op::PublishAll { at: 0, catch: 1 },
                    Op::TryPublish { at: 0, catch: 1 },
                ],
            ),
        ),
        (
            "stop_after_a_paused_one",
            program(
                &[stop()],
                &[
                    north(PAUSED),
                    north(How { flags: How::NAMED, ..runs(1) }),
                    north(runs(1)),
                    PUBLISH,
                    Op::PublishAll { at: 0, catch: 1 },
                    PUBLISH_OR_UNDO,
                    Op::Resume { sub: 0 },
                    Op::Resume { sub: 0 },
                    Op::Look { sub: 0 },
                    PUBLISH_OR_UNDO,
                    Op::Pause { sub: 1 },
                    Op::Look { sub: 1 },
                    Op::TryPublish { at: 0, catch: 1 },
                ],
            ),
        ),
        (
            "once_publishes_inside_itself",
            program(
                &[does(&[PUBLISH, LIST, Op::Look { sub: 0 }])],
                &[
                    north(How { flags: How::ONCE, ..runs(1) }),
                    north(PLAIN),
                    PUBLISH,
                    LIST,
                    PUBLISH,
                    north(PLAIN),
                    LIST,
                ],
            ),
        ),
        (
            "cancelled_and_subscribed_under_way",
            program(
                &[does(&[Op::Cancel { sub: 1 }, north(PLAIN), LIST, RETIRED, Op::Collect { at: 0 }])],
                &[north(runs(1)), north(PLAIN), north(PLAIN), PUBLISH, LIST, RETIRED, PUBLISH],
            ),
        ),
        (
            "undo_newest_first",
            program(
                &[stop(), answer(Answer::StopUndo, &[]), answer(Answer::PanicUndo, &[])],
                &[
                    north(PLAIN),
                    north(ONCE),
                    north(PAUSED),
                    north(runs(2)),
                    north(WEAK),
                    north(runs(1)),
                    north(PLAIN),
                    PUBLISH_OR_UNDO,
                    PUBLISH_OR_UNDO,
                    Op::DropTarget { target: 0 },
                    PUBLISH_OR_UNDO,
                    north(How { priority: HIGH, ..runs(3) }),
                    PUBLISH_OR_UNDO,
                ],
            ),
        ),
        (
            "undo_after_a_panic_and_a_target_gone",
            program(
                &[panic(), does(&[Op::DropTarget { target: 0 }, PUBLISH])],
                &[
                    north(WEAK),
                    north(How { flags: How::ONCE, ..runs(2) }),
                    north(runs(1)),
                    PUBLISH_OR_UNDO,
                    PUBLISH,
                ],
            ),
        ),
        (
            "a_panic_unwinds_through_two_publishes",
            program(
                &[panic(), does(&[Op::Publish { at: 1, catch: 0 }])],
                &[
                    south(runs(1)),
                    north(PLAIN),
                    north(runs(2)),
                    north(PLAIN),
                    PUBLISH,
                    PUBLISH,
                    PUBLISH_SOUTH,
                    PUBLISH_OR_UNDO,
                ],
            ),
        ),
        (
            "a_destructor_cancels_the_next",
            handles_first(
                &[does(&[
                    Op::Cancel { sub: 0 },
                    Op::CancelAndWait { sub: 0 },
                    PUBLISH,
                    LIST,
                    Op::Collect { at: 0 },
                ])],
                &[north(dies(1)), north(dies(1)), north(dies(1)), Op::Cancel { sub: 0 }, LIST],
            ),
        ),
        (
            "destructors_run_at_the_outermost_return",
            program(
                &[
                    does(&[Op::Cancel { sub: 0 }, PUBLISH_SOUTH, Op::CancelAndWait { sub: 0 }]),
                    does(&[PUBLISH, RETIRED, north(ONCE)]),
                    does(&[Op::DropHandle { sub: 1 }]),
                ],
                &[
                    north(How { on_drop: 2, ..runs(1) }),
                    south(How { on_drop: 2, ..runs(3) }),
                    PUBLISH,
                    PUBLISH,
                ],
            ),
        ),
        (
            "a_destructor_panics",
            program(
                &[panic(), answer(Answer::Panic, &[Op::Publish { at: 0, catch: 0 }])],
                &[
                    north(runs(1)),
                    north(dies(1)),
                    north(dies(2)),
                    Op::Cancel { sub: 1 },
                    Op::Cancel { sub: 2 },
                    PUBLISH,
                ],
            ),
        ),
        (
            "edit_moves_everything",
            program(
                &[],
                &[
                    north(PLAIN),
                    north(How { priority: HIGH, ..PLAIN }),
                    north(How { priority: LOW, ..PLAIN }),
                    south(PLAIN),
                    edit(&[
                        Step::MoveBefore { sub: 2, other: 1 },
                        Step::MoveAfter { sub: 1, other: 0 },
                        Step::SetPriority { sub: 0, priority: 0 },
                        Step::Pause { sub: 2 },
                        Step::MoveAfter { sub: 0, other: 3 },
                        Step::Cancel { sub: 3 },
                    ]),
                    LIST,
                    edit(&[
                        Step::Clear,
                        Step::Subscribe { how: PLAIN },
                        Step::MoveBefore { sub: 4, other: 0 },
                    ]),
                    LIST,
                    edit(&[
                        Step::Subscribe { how: PLAIN },
                        Step::Clear,
                        Step::Cancel { sub: 4 },
                        Step::Resume { sub: 4 },
                    ]),
                    LIST,
                    RETIRED,
                ],
            ),
        ),
        (
            "edit_under_way_and_in_itself",
            program(
                &[
                    does(&[edit(&[Step::Subscribe { how: PLAIN }, Step::Run { script: 2 }, Step::Clear])]),
                    does(&[PUBLISH_SOUTH, LIST, edit(&[Step::Subscribe { how: PLAIN }]), LIST]),
                ],
                &[north(runs(1)), north(PLAIN), PUBLISH, LIST, PUBLISH],
            ),
        ),
        (
            "an_edit_that_panics_changes_nothing",
            program(
                &[panic(), does(&[LIST, Op::Publish { at: 0, catch: 0 }])],
                &[
                    north(PLAIN),
                    edit(&[Step::Subscribe { how: dies(2) }, Step::Clear, Step::Run { script: 1 }]),
                    LIST,
                    Op::Look { sub: 1 },
                    Op::Cancel { sub: 1 },
                    PUBLISH,
                ],
            ),
        ),
        (
            "a_handle_ends_in_its_own_edit",
            program(
                &[
                    does(&[Op::DropHandle { sub: 0 }]),
                    does(&[Op::Cancel { sub: 0 }, Op::Look { sub: 0 }]),
                    does(&[Op::Detach { sub: 0 }]),
                ],
                &[
                    edit(&[Step::Subscribe { how: PLAIN }, Step::Run { script: 1 }]),
                    LIST,
                    PUBLISH,
                    edit(&[
                        Step::Subscribe { how: dies(1) },
                        Step::Run { script: 2 },
                        Step::Subscribe { how: PLAIN },
                    ]),
                    LIST,
                    PUBLISH,
                    Op::DropHandles,
                    edit(&[Step::Subscribe { how: PLAIN }, Step::Run { script: 3 }]),
                    LIST,
                ],
            ),
        ),
        (
            "an_edit_whose_end_cancels_a_sibling",
            program(
                &[
                    does(&[PUBLISH, Op::CancelAndWait { sub: 1 }, Op::CancelAndWait { sub: 1 }]),
                    does(&[Op::Cancel { sub: 0 }]),
                ],
                &[
                    edit(&[
                        Step::Subscribe { how: dies(1) },
                        Step::Run { script: 2 },
                        Step::Subscribe { how: dies(1) },
                    ]),
                    LIST,
                ],
            ),
        ),
        (
            "what_has_ended_is_found_no_more",
            program(
                &[],
                &[
                    north(How { priority: HIGH, ..PLAIN }),
                    north(ONCE),
                    PUBLISH,
                    LIST,
                    edit(&[Step::MoveAfter { sub: 0, other: 1 }]),
                    LIST,
                    north(ONCE),
                    PUBLISH,
                    Op::Pause { sub: 2 },
                    north(ONCE),
                    PUBLISH,
                    Op::Cancel { sub: 3 },
                    north(ONCE),
                    PUBLISH,
                    Op::Pause { sub: 0 },
                    Op::Pause { sub: 0 },
                    north(ONCE),
                    Op::Resume { sub: 0 },
                    PUBLISH,
                    Op::Resume { sub: 0 },
                ],
            ),
        ),
        (
            "sets_of_both_dispatchers",
            program(
                &[does(&[
                    Op::SetCancel { set: 0 },
                    Op::SetWait { set: 1 },
                    Op::SetAdd { set: 1, sub: 0 },
                    Op::Detach { sub: 0 },
                ])],
                &[
                    north(dies(1)),
                    south(dies(1)),
                    north(PLAIN),
                    south(PLAIN),
                    Op::SetAdd { set: 0, sub: 0 },
                    Op::SetAdd { set: 0, sub: 0 },
                    Op::SetAdd { set: 1, sub: 0 },
                    Op::SetPause { set: 0 },
                    LIST,
                    Op::SetResume { set: 0 },
                    PUBLISH,
                    Op::SetWait { set: 0 },
                    Op::SetDrop { set: 1 },
                    Op::SetDetach { set: 0 },
                    Op::SetCancel { set: 0 },
                ],
            ),
        ),
        (
            "waits_inside_a_publish_and_a_destructor",
            program(
                &[
                    does(&[
                        Op::CancelAndWait { sub: 0 },
                        Op::CancelAndWait { sub: 1 },
                        Op::SetWait { set: 0 },
                    ]),
                    does(&[PUBLISH, Op::CancelAndWait { sub: 1 }]),
                ],
                &[
                    north(runs(1)),
                    south(dies(1)),
                    north(PLAIN),
                    Op::SetAdd { set: 0, sub: 2 },
                    PUBLISH,
                    Op::CancelAndWait { sub: 0 },
                    Op::CancelAndWait { sub: 0 },
                    edit(&[Step::Subscribe { how: PLAIN }, Step::Run { script: 2 }]),
                ],
            ),
        ),
        (
            "published_to_inside_itself_to_the_limit",
            program(
                &[
                    does(&[Op::TryPublish { at: 1, catch: 0 }, Op::Collect { at: 1 }]),
                    does(&[Op::Publish { at: 0, catch: 0 }]),
                    does(&[Op::PublishWith { at: 1, make: 0, catch: 0 }, Op::CancelAndWait { sub: 0 }]),
                ],
                &[
                    Op::NewDispatcher { at: 1, limit: 1 },
                    south(runs(1)),
                    PUBLISH_SOUTH,
                    Op::Cancel { sub: 0 },
                    south(runs(3)),
                    PUBLISH_SOUTH,
                    north(runs(2)),
                    PUBLISH,
                ],
            ),
        ),
        (
            "made_only_for_somebody",
            program(
                &[does(&[Op::Cancel { sub: 0 }, north(PLAIN), LIST]), panic()],
                &[
                    Op::PublishWith { at: 0, make: 1, catch: 1 },
                    north(PAUSED),
                    Op::PublishWith { at: 0, make: 1, catch: 1 },
                    Op::PublishWith { at: 0, make: 1, catch: 1 },
                    Op::PublishWith { at: 0, make: 2, catch: 1 },
                    LIST,
                ],
            ),
        ),
        (
            "weak_targets_come_and_go",
            program(
                &[does(&[Op::DropTarget { target: 0 }, LIST]), does(&[PUBLISH, north(WEAK)])],
                &[
                    Op::MakeTarget { target: 0, on_drop: 2 },
                    north(How { flags: How::WEAK, ..runs(1) }),
                    north(How { flags: How::WEAK | How::ONCE, ..PLAIN }),
                    PUBLISH,
                    LIST,
                    PUBLISH,
                    Op::Look { sub: 0 },
                    Op::MakeTarget { target: 0, on_drop: 0 },
                    LIST,
                ],
            ),
        ),
        (
            "a_dispatcher_goes_during_its_own_publish",
            program(
                &[does(&[
                    Op::DropDispatcher { at: 0 },
                    north(PLAIN),
                    Op::Cancel { sub: 1 },
                    Op::Look { sub: 0 },
                    Op::NewDispatcher { at: 0, limit: 0 },
                    north(PLAIN),
                ])],
                &[
                    north(runs(1)),
                    north(dies(1)),
                    PUBLISH,
                    PUBLISH,
                    Op::Look { sub: 0 },
                    Op::Cancel { sub: 2 },
                ],
            ),
        ),
        (
            "a_dispatcher_goes_in_a_destructor",
            program(
                &[
                    does(&[Op::DropDispatcher { at: 0 }, Op::Look { sub: 1 }, Op::Cancel { sub: 1 }]),
                    does(&[Op::Cancel { sub: 0 }]),
                ],
                &[
                    north(dies(1)),
                    north(dies(1)),
                    south(runs(2)),
                    PUBLISH_SOUTH,
                    Op::NewDispatcher { at: 0, limit: 0 },
                    north(dies(1)),
                    north(PLAIN),
                    Op::Cancel { sub: 3 },
                ],
            ),
        ),
        (
            "a_wait_for_what_only_this_thread_can_drop",
            program(
                &[
                    does(&[Op::DropDispatcher { at: 1 }]),
                    does(&[
                        Op::NewDispatcher { at: 1, limit: 0 },
                        south(PLAIN),
                        Op::Cancel { sub: 0 },
                        Op::CancelAndWait { sub: 2 },
                    ]),
                ],
                &[north(dies(1)), south(runs(2)), PUBLISH_SOUTH, Op::CancelAndWait { sub: 2 }],
            ),
        ),
        (
            "more_than_one_run",
            program(
                &[stop(), does(&[Op::Cancel { sub: 0 }])],
                &[
                    Op::Bulk { at: 0, count: 4, priority: 0 },
                    north(How { priority: LOW, ..runs(1) }),
                    Op::Bulk { at: 0, count: 2, priority: LOW },
                    north(How { priority: HIGH, ..ONCE }),
                    LIST,
                    Op::TryPublish { at: 0, catch: 1 },
                    PUBLISH_OR_UNDO,
                    edit(&[Step::Clear]),
                    LIST,
                ],
            ),
        ),
        (
            "scopes",
            program(
                &[
                    does(&[PUBLISH, LIST, Op::DropDispatcher { at: 0 }, Op::Collect { at: 0 }]),
                    answer(
                        Answer::Panic,
                        &[Op::Scope { at: 1, subs: vec![ONCE], early: Early::Nothing, body: 3, catch: 1 }],
                    ),
                    does(&[PUBLISH_SOUTH, PUBLISH_SOUTH]),
                    does(&[Op::Scope { at: 0, subs: vec![PLAIN], early: Early::Nothing, body: 3, catch: 1 }]),
                ],
                &[
                    north(dies(4)),
                    Op::Scope { at: 0, subs: vec![runs(4), PAUSED], early: Early::Pause, body: 2, catch: 1 },
                    north(runs(4)),
                    PUBLISH,
                    Op::Scope { at: 0, subs: vec![PLAIN], early: Early::Cancel, body: 0, catch: 1 },
                    Op::Scope { at: 0, subs: vec![PAUSED, dies(4)], early: Early::Resume, body: 1, catch: 1 },
                ],
            ),
        ),
    ]
}
