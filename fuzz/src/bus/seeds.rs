//! Hand-written histories of a bus, one idea each.

use super::{Answer, How, Op, Program, Script, Step};

const PLAIN: How = How { flags: 0, priority: 0, script: 0 };

fn sub(list: u8) -> Op {
    Op::Subscribe { list, how: PLAIN }
}

fn with(list: u8, flags: u8) -> Op {
    Op::Subscribe { list, how: How { flags, ..PLAIN } }
}

fn runs(list: u8, script: u8) -> Op {
    Op::Subscribe { list, how: How { script, ..PLAIN } }
}

fn ranked(list: u8, priority: u8) -> Op {
    Op::Subscribe { list, how: How { priority, ..PLAIN } }
}

fn publish(event: u8, way: u8) -> Op {
    Op::Publish { event, way }
}

fn edit(steps: &[Step]) -> Op {
    Op::Edit { steps: steps.to_vec() }
}

fn does(ops: &[Op]) -> Script {
    Script { answer: Answer::Fine, ops: ops.to_vec() }
}

fn answers(answer: Answer) -> Script {
    Script { answer, ops: Vec::new() }
}

fn program(scripts: &[Script], main: &[Op]) -> Vec<u8> {
    Program { scripts: scripts.to_vec(), main: main.to_vec() }.encode()
}

/// Publishes every type in every way but by a kept topic.
fn all_events() -> Vec<Op> {
    (0..6).map(|event| publish(event, event % 3)).collect()
}

fn and_all_events(ops: &[Op]) -> Vec<Op> {
    [ops, &all_events(), &[Op::List, Op::Sizes]].concat()
}

/// A name, and the bytes of a history.
pub fn bus_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let stopping = [answers(Answer::Veto), answers(Answer::Fail), answers(Answer::Panic)];
    let step = |list: u8| Step::Subscribe { list, how: PLAIN };
    vec![
        (
            "order_of_lists",
            program(&[], &and_all_events(&[sub(0), sub(8), sub(7), sub(1), sub(0), sub(9), sub(2), sub(5)])),
        ),
        (
            "priorities_around_the_handlers",
            program(
                &[],
                &and_all_events(&[
                    ranked(0, 3),
                    sub(0),
                    sub(1),
                    ranked(0, 2),
                    sub(0),
                    ranked(1, 2),
                    ranked(1, 3),
                ]),
            ),
        ),
        (
            "the_place_stays_when_all_have_gone",
            program(&[], &and_all_events(&[sub(0), sub(1), sub(0), Op::DropHandle { nth: 1 }, sub(7)])),
        ),
        (
            "the_place_stays_on_an_empty_bus",
            program(&[], &and_all_events(&[sub(4), Op::Cancel { nth: 0 }, Op::Sizes, sub(0), sub(7)])),
        ),
        (
            "the_place_stays_when_all_is_cleared",
            program(
                &[],
                &and_all_events(&[sub(0), sub(1), sub(0), edit(&[Step::Clear]), sub(0), sub(8), sub(0)]),
            ),
        ),
        (
            "stops_of_every_kind",
            program(
                &stopping,
                &[
                    runs(0, 1),
                    publish(0, 0),
                    publish(2, 0),
                    publish(2, 1),
                    publish(3, 0),
                    publish(3, 1),
                    Op::DropHandle { nth: 0 },
                    runs(7, 1),
                    sub(0),
                    publish(0, 2),
                    publish(4, 0),
                    publish(5, 0),
                    publish(5, 1),
                ],
            ),
        ),
        (
            "stops_by_a_types_own",
            program(
                &stopping,
                &[
                    sub(0),
                    runs(1, 1),
                    runs(3, 1),
                    runs(4, 2),
                    sub(9),
                    publish(0, 0),
                    publish(2, 1),
                    publish(3, 0),
                    publish(3, 1),
                    publish(3, 2),
                ],
            ),
        ),
        (
            "failures_and_panics",
            program(
                &stopping,
                &[
                    sub(0),
                    runs(8, 2),
                    sub(7),
                    sub(0),
                    publish(0, 0),
                    publish(1, 1),
                    Op::Pause { nth: 1 },
                    publish(1, 0),
                    runs(0, 3),
                    publish(0, 0),
                    publish(3, 0),
                ],
            ),
        ),
        (
            "places_with_paused_ones",
            program(
                &stopping,
                &[
                    with(0, How::PAUSED),
                    with(1, How::PAUSED),
                    sub(1),
                    with(7, How::PAUSED),
                    runs(8, 1),
                    with(0, How::PAUSED),
                    publish(0, 0),
                    publish(0, 2),
                ],
            ),
        ),
        (
            "pause_and_resume",
            program(
                &[],
                &[
                    sub(1),
                    sub(7),
                    Op::Pause { nth: 0 },
                    Op::Pause { nth: 0 },
                    Op::Look { nth: 0 },
                    publish(0, 0),
                    Op::Resume { nth: 0 },
                    publish(0, 0),
                    Op::Look { nth: 0 },
                    Op::Resume { nth: 1 },
                ],
            ),
        ),
        (
            "once_is_swept_by_a_write_of_its_list",
            program(
                &stopping,
                &[
                    with(7, How::ONCE),
                    with(0, How::ONCE),
                    runs(1, 1),
                    sub(0),
                    publish(0, 0),
                    publish(0, 0),
                    Op::List,
                    Op::Sizes,
                    sub(4),
                    publish(0, 0),
                    sub(7),
                    publish(0, 0),
                    sub(0),
                    publish(0, 0),
                    Op::Sizes,
                ],
            ),
        ),
        (
            "once_by_many_types",
            program(
                &[],
                &[
                    with(9, How::ONCE),
                    publish(4, 0),
                    publish(2, 0),
                    Op::Look { nth: 0 },
                    Op::Cancel { nth: 0 },
                    Op::Pause { nth: 0 },
                ],
            ),
        ),
        (
            "weak_until_its_target_goes",
            program(
                &[],
                &[
                    with(7, How::WEAK),
                    with(1, How::WEAK | How::ONCE),
                    publish(0, 0),
                    Op::DropTarget { target: 0 },
                    publish(0, 0),
                    Op::Look { nth: 0 },
                    Op::Sizes,
                    sub(7),
                    Op::Sizes,
                ],
            ),
        ),
        (
            "a_target_that_goes_while_it_runs",
            program(
                &[does(&[Op::DropTarget { target: 0 }, publish(3, 0)])],
                &[
                    Op::Subscribe { list: 0, how: How { flags: How::WEAK, priority: 0, script: 1 } },
                    publish(0, 0),
                    publish(0, 0),
                ],
            ),
        ),
        (
            "registering_inside",
            program(
                &[does(&[sub(1), sub(7), sub(0), publish(3, 0)])],
                &[runs(0, 1), publish(0, 0), publish(0, 0)],
            ),
        ),
        (
            "cancelling_inside",
            program(
                &[does(&[
                    Op::Cancel { nth: 1 },
                    Op::DropHandle { nth: 2 },
                    Op::Cancel { nth: 0 },
                    publish(0, 0),
                ])],
                &[runs(0, 1), sub(1), sub(7), publish(0, 0), publish(0, 0), Op::Sizes],
            ),
        ),
        (
            "nested_publishes_of_other_types",
            program(
                &[does(&[publish(1, 0), publish(2, 1)]), does(&[publish(3, 2)])],
                &[runs(1, 1), runs(8, 2), sub(9), sub(4), sub(0), publish(0, 0)],
            ),
        ),
        (
            "an_edit_across_types",
            program(
                &[],
                &and_all_events(&[
                    sub(1),
                    sub(0),
                    edit(&[
                        Step::Cancel { nth: 0 },
                        step(7),
                        step(0),
                        Step::Publish { event: 0, way: 0 },
                        step(2),
                        Step::Pause { nth: 1 },
                    ]),
                ]),
            ),
        ),
        (
            "an_edit_fixes_the_place",
            program(&[], &and_all_events(&[edit(&[step(0), step(7), step(0), step(1)]), sub(0)])),
        ),
        (
            "an_edit_moves",
            program(
                &[],
                &and_all_events(&[
                    sub(0),
                    sub(1),
                    sub(0),
                    sub(0),
                    ranked(1, 2),
                    edit(&[
                        Step::MoveBefore { nth: 3, other: 0 },
                        Step::MoveAfter { nth: 0, other: 2 },
                        Step::MoveBefore { nth: 1, other: 4 },
                        Step::MoveAfter { nth: 1, other: 0 },
                        Step::SetPriority { nth: 2, priority: 2 },
                    ]),
                    ranked(1, 2),
                ]),
            ),
        ),
        (
            "an_edit_whose_handle_is_cancelled",
            program(
                &[],
                &and_all_events(&[
                    edit(&[
                        step(1),
                        step(7),
                        Step::CancelNow { nth: 0 },
                        Step::Cancel { nth: 1 },
                        Step::Resume { nth: 1 },
                    ]),
                    Op::Look { nth: 0 },
                ]),
            ),
        ),
        (
            "an_edit_inside_a_subscriber",
            program(
                &[does(&[
                    edit(&[Step::Cancel { nth: 1 }, step(7), Step::Publish { event: 0, way: 2 }]),
                    publish(0, 0),
                ])],
                &[runs(0, 1), sub(1), sub(0), publish(0, 0), Op::List],
            ),
        ),
        (
            "handles_outlive_the_bus",
            program(
                &[],
                &[
                    Op::Keep { list: 1 },
                    Op::Keep { list: 8 },
                    sub(1),
                    sub(8),
                    sub(0),
                    publish(0, 3),
                    Op::DropBus,
                    publish(0, 3),
                    publish(0, 0),
                    with(1, How::KEPT),
                    with(8, How::KEPT),
                    publish(0, 3),
                    Op::Look { nth: 0 },
                    Op::Look { nth: 3 },
                    Op::Pause { nth: 3 },
                    publish(0, 3),
                    Op::LetGo { list: 1 },
                    Op::Look { nth: 4 },
                    Op::LetGo { list: 8 },
                    Op::Look { nth: 4 },
                    Op::Cancel { nth: 4 },
                ],
            ),
        ),
        (
            "the_bus_goes_inside_a_publish",
            program(
                &[does(&[Op::DropBus, publish(0, 3), with(1, How::KEPT), publish(0, 3)])],
                &[
                    Op::Keep { list: 1 },
                    runs(0, 1),
                    sub(1),
                    sub(7),
                    publish(0, 3),
                    publish(0, 3),
                    Op::Look { nth: 1 },
                ],
            ),
        ),
        (
            "the_bus_goes_inside_its_own_publish",
            program(
                &[does(&[Op::DropBus, Op::Sizes, Op::NewBus, sub(1), publish(0, 0)])],
                &[runs(0, 1), sub(1), publish(0, 0), publish(0, 1), Op::List],
            ),
        ),
        (
            "a_new_bus_knows_nothing_of_the_old",
            program(
                &[],
                &[
                    sub(1),
                    Op::Keep { list: 1 },
                    Op::NewBus,
                    publish(0, 0),
                    sub(7),
                    edit(&[Step::Cancel { nth: 0 }, Step::MoveBefore { nth: 1, other: 0 }]),
                    publish(0, 3),
                    publish(0, 0),
                    with(1, How::KEPT),
                    publish(0, 3),
                    Op::Sizes,
                ],
            ),
        ),
        (
            "a_set_over_lists_and_buses",
            program(
                &[],
                &[
                    sub(0),
                    sub(1),
                    sub(7),
                    Op::Keep { list: 1 },
                    Op::NewBus,
                    sub(0),
                    sub(1),
                    Op::CancelSome { every: 1 },
                    publish(0, 0),
                    Op::Sizes,
                    Op::CancelSome { every: 0 },
                    publish(0, 3),
                    Op::Sizes,
                ],
            ),
        ),
        (
            "detached_and_dropped",
            program(
                &[],
                &[
                    sub(1),
                    sub(7),
                    Op::Detach { nth: 0 },
                    Op::DropHandle { nth: 1 },
                    publish(0, 0),
                    Op::Detach { nth: 0 },
                    Op::DropHandle { nth: 0 },
                    Op::Cancel { nth: 1 },
                    Op::Sizes,
                ],
            ),
        ),
        (
            "nothing_there",
            program(
                &[],
                &[
                    Op::DropBus,
                    Op::DropBus,
                    sub(1),
                    publish(0, 0),
                    publish(0, 3),
                    edit(&[]),
                    Op::Keep { list: 1 },
                    Op::LetGo { list: 1 },
                    Op::List,
                    Op::Sizes,
                    Op::Cancel { nth: 0 },
                    Op::Pause { nth: 0 },
                    Op::Resume { nth: 0 },
                    Op::Look { nth: 0 },
                    Op::DropHandle { nth: 0 },
                    Op::Detach { nth: 0 },
                    Op::DropTarget { target: 0 },
                    Op::NewBus,
                    Op::Keep { list: 0 },
                    with(1, How::KEPT),
                ],
            ),
        ),
    ]
}
