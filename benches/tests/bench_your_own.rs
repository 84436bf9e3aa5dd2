//! The example that people copy from: it runs, and what it writes is what the lab reads.

#[allow(dead_code)] // its `main`
#[path = "../examples/bench_your_own.rs"]
mod example;

#[test]
fn the_example_measures_three_by_one_and_by_two_publishers() {
    let report = example::measure();
    let document = serde_json::to_value(report.document()).unwrap();
    let cases: Vec<_> =
        document["measures"].as_array().unwrap().iter().map(|one| one["case"].as_str().unwrap()).collect();
    for case in ["bare calls, 1 publisher", "yours, 2 publishers", "signalpost, 2 publishers"] {
        assert!(cases.contains(&case), "{cases:?}");
    }
    assert_eq!(document["rows"].as_array().unwrap().len(), 3 * 2);
    assert!(document["rows"][2]["times_floor"].as_f64() > Some(0.0), "{document}");
}
