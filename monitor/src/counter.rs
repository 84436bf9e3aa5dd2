//! gevent's rule for a blocked loop: it counts switches, and asks now and then whether there were any.
//!
//! Owns that rule (S-55 to S-57, S-68 of the specification), so that what was recorded of it can be held against it. Pure. Not here:
//! our own rule, which measures (`detect.rs`). This one reports a block after one to two periods, again at each check, and never how
//! long it has lasted.

/// Who was switched to last, and how often since the last check.
///
/// # Examples
/// ```
/// use signalpost::monitor::counter::SwitchCounter;
/// let mut counter = SwitchCounter::new();
/// counter.switched("a");
/// assert_eq!(counter.check(|who| *who == "hub"), None); // since when it runs nobody knows
/// assert_eq!(counter.check(|who| *who == "hub"), Some(&"a")); // since the last check at least
/// counter.switched("hub");
/// assert_eq!(counter.check(|who| *who == "hub"), None);
/// assert_eq!(counter.check(|who| *who == "hub"), None); // it waits for something to do
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchCounter<T> {
    active: Option<T>,
    switches: u64,
}

impl<T> SwitchCounter<T> {
    /// Nobody has been switched to.
    pub const fn new() -> Self {
        Self { active: None, switches: 0 }
    }

    /// A switch to `target`, perhaps the same as before.
    pub fn switched(&mut self, target: T) {
        self.active = Some(target);
        self.switches += 1;
    }

    /// Something else was traced: it counts, and who is active is not known any more.
    pub fn other(&mut self) {
        self.active = None;
        self.switches += 1;
    }

    /// Whoever is active is not to be reported: nobody is, until the next switch. The count stays.
    pub fn ignore(&mut self) {
        self.active = None;
    }

    /// It is `current` that is active. The count stays, so the next check may report it.
    pub fn monitor_current(&mut self, current: T) {
        self.active = Some(current);
    }

    /// Who blocks the loop: whoever was active at the last check already, and is not the hub, which only waits. Begins to count anew.
    pub fn check(&mut self, is_hub: impl FnOnce(&T) -> bool) -> Option<&T> {
        let switched = std::mem::take(&mut self.switches) > 0;
        self.active.as_ref().filter(|active| !switched && !is_hub(active))
    }

    /// How often it was switched since the last check.
    pub fn switches(&self) -> u64 {
        self.switches
    }

    /// Who was switched to last, as far as is known.
    pub fn active(&self) -> Option<&T> {
        self.active.as_ref()
    }
}

impl<T> Default for SwitchCounter<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::SwitchCounter;

    fn check(counter: &mut SwitchCounter<&'static str>) -> Option<&'static str> {
        counter.check(|who| *who == "hub").copied()
    }

    #[test]
    fn before_the_first_switch_nobody_blocks() {
        let mut counter = SwitchCounter::default();
        assert_eq!((check(&mut counter), check(&mut counter)), (None, None));
    }

    #[test]
    fn who_is_active_at_two_checks_without_a_switch_between_blocks_until_there_is_one() {
        let mut counter = SwitchCounter::new();
        counter.switched("a");
        counter.switched("b");
        assert_eq!((counter.switches(), counter.active()), (2, Some(&"b")));
        assert_eq!(
            [check(&mut counter), check(&mut counter), check(&mut counter)],
            [None, Some("b"), Some("b")]
        );
        counter.switched("b");
        assert_eq!([check(&mut counter), check(&mut counter)], [None, Some("b")]);
    }

    #[test]
    fn the_hub_and_nobody_never_block() {
        let mut counter = SwitchCounter::new();
        for to_nobody in [|counter: &mut SwitchCounter<_>| counter.switched("hub"), SwitchCounter::other] {
            counter.switched("a");
            to_nobody(&mut counter);
            assert_eq!(counter.switches(), 2);
            assert_eq!([check(&mut counter), check(&mut counter)], [None, None]);
        }
    }

    #[test]
    fn to_ignore_or_to_name_who_is_active_leaves_the_count() {
        let mut counter = SwitchCounter::new();
        counter.switched("a");
        counter.ignore();
        assert_eq!((counter.switches(), counter.active()), (1, None));
        assert_eq!([check(&mut counter), check(&mut counter)], [None, None]);
        counter.monitor_current("me");
        assert_eq!(check(&mut counter), Some("me"), "there was no switch");
        counter.switched("b");
        counter.monitor_current("me");
        assert_eq!([check(&mut counter), check(&mut counter)], [None, Some("me")]);
    }
}
