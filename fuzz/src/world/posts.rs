//! Operations on a dispatcher.

use super::*;

impl World {
    pub(super) fn about_a_dispatcher(self: &Arc<Self>, at: At, op: &Op) -> Option<Outcome> {
        let (Op::Subscribe { at: place, .. }
        | Op::Publish { at: place, .. }
        | Op::TryPublish { at: place, .. }
        | Op::PublishAll { at: place, .. }
        | Op::PublishOrUndo { at: place, .. }
        | Op::PublishWith { at: place, .. }
        | Op::Edit { at: place, .. }
        | Op::Bulk { at: place, .. }
        | Op::List { at: place }
        | Op::Collect { at: place }
        | Op::Retired { at: place }
        | Op::Scope { at: place, .. }) = op
        else {
            return None;
        };
        let post = self.post(*place)?;
        let dispatcher = &post.dispatcher;
        Some(match op {
            Op::Subscribe { how, .. } => return self.subscribe(post, *how),
            Op::Publish { .. } => stopped(dispatcher.publish(&self.event())),
            Op::TryPublish { .. } => match dispatcher.try_publish(&self.event()) {
                Err(PublishError::TooDeep(deep)) => Outcome::TooDeep(deep.depth),
                Err(PublishError::Stopped(error)) => stopped(Err(error)),
                Ok(()) => Outcome::Fine,
            },
            Op::PublishAll { .. } => Outcome::All(named(dispatcher.publish_all(&self.event()))),
            Op::PublishOrUndo { .. } => {
                let event = self.event();
                let undo = Event { undo: true, ..event };
                match dispatcher.publish_or_undo(&event, &undo) {
                    Ok(()) => Outcome::Fine,
                    Err(Undone { stopped, undo_errors }) => {
                        Outcome::Undone { stop: stop(stopped), undo_errors: named(undo_errors) }
                    }
                }
            }
            Op::PublishWith { make, .. } => stopped(dispatcher.publish_with(|| {
                self.script_or_panic(*make);
                self.event()
            })),
            Op::Edit { steps, .. } => self.edit(dispatcher, at, steps),
            Op::Bulk { count, priority: byte, .. } => self.bulk(dispatcher, *count, priority(*byte)),
            Op::List { .. } => {
                assert_eq!(dispatcher.has_subscribers(), !dispatcher.is_empty());
                let infos = dispatcher.subscribers().into_iter().map(|info| {
                    assert_eq!(info.location.file(), file!(), "where it was registered");
                    let signalpost::SubscriberInfo { id, name, priority, paused, .. } = info;
                    Info { sub: id.get(), name, priority, paused }
                });
                let infos = infos.collect();
                Outcome::Listed { len: dispatcher.len(), any: dispatcher.has_subscribers(), infos }
            }
            Op::Collect { .. } => {
                let before = dispatcher.retired();
                let said = dispatcher.collect();
                self.write(Line::Said(Outcome::Collected { before, said, after: dispatcher.retired() }));
                Outcome::Done
            }
            Op::Retired { .. } => Outcome::Retired(dispatcher.retired()),
            Op::Scope { subs, early, body, .. } => self.scope(dispatcher, subs, early, *body),
            _ => return None,
        })
    }

    pub(super) fn event(&self) -> Event {
        self.with(|state| {
            state.events += 1;
            Event { number: state.events, undo: false }
        })
    }

    pub(super) fn subscribe(self: &Arc<Self>, post: Arc<Post>, how: How) -> Option<Outcome> {
        let dispatcher = &post.dispatcher;
        let target = how.target().map(|place| {
            let there = self.with(|state| state.targets[place].clone());
            there.unwrap_or_else(|| {
                let new = self.target(0);
                self.with(|state| state.targets[place].get_or_insert(new).clone())
            })
        });
        let capture = self.capture(how, false);
        let sub = capture.sub;
        let options = options(how, sub);
        let subscription = match &target {
            Some(target) => {
                let with_target = move |_: &Target, event: &Event| capture.called(event);
                dispatcher.subscribe_weak_with(options, target, with_target)
            }
            None if options == SubscribeOptions::new() => {
                dispatcher.subscribe(move |event| capture.called(event))
            }
            None => dispatcher.subscribe_with(options, move |event| capture.called(event)),
        };
        drop(target);
        drop(post);
        Some(self.keep(sub, subscription))
    }

    pub(super) fn edit(
        self: &Arc<Self>,
        dispatcher: &Dispatcher<Event, Answered>,
        at: At,
        steps: &[Step],
    ) -> Outcome {
        dispatcher.edit(|edit| {
            for (step, what) in steps.iter().enumerate() {
                let [first, second] = match what {
                    Step::Cancel { sub }
                    | Step::Pause { sub }
                    | Step::Resume { sub }
                    | Step::SetPriority { sub, .. } => [self.handle(*sub), None],
                    Step::MoveBefore { sub, other } | Step::MoveAfter { sub, other } => {
                        [self.handle(*sub), self.handle(*other)]
                    }
                    _ => [None, None],
                };
                let about = [&first, &second].map(|handle| handle.as_ref().map(|handle| handle.sub));
                self.write(Line::Step { at, step, about });
                let deeper = self.deeper();
                let first_handle = first.as_ref().map(|handle| &handle.subscription);
                let second_handle = second.as_ref().map(|handle| &handle.subscription);
                let outcome = match (what, first_handle, second_handle) {
                    (Step::Subscribe { how }, ..) => {
                        let capture = self.capture(*how, false);
                        let sub = capture.sub;
                        let options = options(*how, sub);
                        let subscription = edit.subscribe_with(options, move |event| capture.called(event));
                        self.keep(sub, subscription)
                    }
                    (Step::Clear, ..) => {
                        edit.clear();
                        Outcome::Done
                    }
                    (Step::Run { script }, ..) => {
                        self.script_or_panic(*script);
                        Outcome::Done
                    }
                    (Step::Cancel { .. }, Some(sub), _) => Outcome::Bool(edit.cancel(sub)),
                    (Step::Pause { .. }, Some(sub), _) => Outcome::Bool(edit.pause(sub)),
                    (Step::Resume { .. }, Some(sub), _) => Outcome::Bool(edit.resume(sub)),
                    (Step::SetPriority { priority: byte, .. }, Some(sub), _) => {
                        Outcome::Bool(edit.set_priority(sub, priority(*byte)))
                    }
                    (Step::MoveBefore { .. }, Some(sub), Some(other)) => {
                        Outcome::Bool(edit.move_before(sub, other))
                    }
                    (Step::MoveAfter { .. }, Some(sub), Some(other)) => {
                        Outcome::Bool(edit.move_after(sub, other))
                    }
                    _ => Outcome::Nothing,
                };
                drop(first);
                drop(second);
                drop(deeper);
                self.write(Line::End(outcome));
            }
            Outcome::Done
        })
    }

    pub(super) fn bulk(
        self: &Arc<Self>,
        dispatcher: &Dispatcher<Event, Answered>,
        count: u8,
        priority: i32,
    ) -> Outcome {
        let count = bulk(count);
        if self.with(|state| state.bulk + count > MAX_BULK) {
            return Outcome::Nothing;
        }
        self.with(|state| state.bulk += count);
        let options = SubscribeOptions::new().priority(priority);
        let subscriptions = dispatcher.edit(|edit| {
            let subscribe = |_| {
                let capture = self.capture(How { flags: 0, priority: 0, script: 0, on_drop: 0 }, false);
                let sub = capture.sub;
                (sub, edit.subscribe_with(options, move |event| capture.called(event)))
            };
            (0..count).map(subscribe).collect::<Vec<_>>()
        });
        for (sub, subscription) in subscriptions {
            let id = subscription.detach().get();
            self.with(|state| state.numbers.insert(id, sub));
        }
        Outcome::Done
    }

    pub(super) fn scope(
        self: &Arc<Self>,
        dispatcher: &Dispatcher<Event, Answered>,
        subs: &[How],
        early: &Early,
        body: u8,
    ) -> Outcome {
        let done = dispatcher.scope(|scope| {
            let first = self.scoped(scope, subs);
            let answer = first.and_then(|first| match early {
                Early::Nothing => None,
                Early::Cancel => Some(first.cancel()),
                Early::Pause => Some(first.pause()),
                Early::Resume => Some(first.resume()),
            });
            self.script_or_panic(body);
            answer
        });
        done.map_or(Outcome::Refused, Outcome::Scoped)
    }

    /// Registers all, and hands out the first.
    pub(super) fn scoped<'scope>(
        self: &Arc<Self>,
        scope: &'scope Scope<'scope, '_, Event, Answered>,
        subs: &[How],
    ) -> Option<signalpost::ScopedSubscription<'scope, Event, Answered>> {
        let mut first = None;
        for how in subs {
            let capture = self.capture(*how, true);
            let sub = capture.sub;
            let scoped = scope.subscribe_with(options(*how, sub), move |event| capture.called(event));
            self.with(|state| state.numbers.insert(scoped.id().get(), sub));
            first.get_or_insert(scoped);
        }
        first
    }
}
