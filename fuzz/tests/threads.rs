//! Two threads at once: random schedules hold what must hold in every order, and a wrong check complains.

use signalpost_fuzz::{ThreadTwist, threads_with};

/// Xorshift: the same inputs on every run, though not the same races.
fn inputs(count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut state = 0xA076_1D64_78BD_642F_u64;
    let mut roll = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..count).map(move |_| (0..200).map(|_| roll()).collect())
}

#[test]
fn what_two_threads_see_is_right_in_every_order() {
    let mut calls = 0;
    for input in inputs(600) {
        match threads_with(&input, &[]) {
            Ok(some) => calls += some,
            Err(report) => panic!("{report}"),
        }
    }
    assert!(calls > 10_000, "{calls} calls: too little happens");
}

#[test]
fn a_check_with_one_rule_turned_round_complains() {
    for twist in ThreadTwist::ALL {
        let complains = inputs(200).any(|input| threads_with(&input, &[*twist]).is_err());
        assert!(complains, "{twist:?} makes no difference");
    }
}
