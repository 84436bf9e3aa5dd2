//! What the runner itself owes: wrong traces fail, rules fit where they must and nowhere else, broken files are said to be broken.

use crate::case::{BusCase, File, Input};
use crate::drive::drive;
use crate::harness::catch;
use crate::model::{self, Parting};
use crate::outcome::{Entry, Outcome};
use crate::random;
use crate::report::{Report, folder, vendored};
use crate::rules::{BUS_RULES, Deviation, Rule, judge};
use crate::types::Door;
use crate::{blocking, config, memory, monitor, patch};
use std::path::{Path, PathBuf};

const KINDS: [&str; 2] = ["notify", "classhandler"];

/// The cases of the folder that can be driven. Broken ones are the report's business.
fn recorded() -> Result<Vec<(PathBuf, BusCase)>, String> {
    let files = File::all_in(&folder())?.into_iter();
    let ours = files.filter_map(|(path, file)| Some((path, file.ok()?)));
    let ours = ours.filter(|(_, file)| KINDS.contains(&file.kind.as_str()) && !file.python_only);
    Ok(ours.filter_map(|(path, file)| Some((path, file.bus_case().ok()?))).collect())
}

/// Cases of both kinds with their seeds; every tenth with up to 64 classes.
fn unrecorded_cases() -> impl Iterator<Item = (String, Input)> {
    (0..2_000).flat_map(|seed| {
        let most_classes = if seed % 10 == 0 { 64 } else { 6 };
        [
            (format!("notify, seed {seed}"), random::notify(seed)),
            (format!("classhandler, seed {seed}"), random::classhandler(seed, most_classes)),
        ]
    })
}

/// What the bus gives; an error says for which case.
fn driven(name: &str, input: &Input, door: Door) -> Result<Outcome, String> {
    catch(|| drive(input, door)).map_err(|error| format!("{name}, {door:?}: {error}"))
}

pub(crate) fn doors() -> Result<(), String> {
    for (path, case) in recorded()? {
        let name = path.display().to_string();
        let gave = driven(&name, &case.input, Door::Bus)?;
        for door in [Door::Topic, Door::Any] {
            if let Some(difference) = driven(&name, &case.input, door)?.difference(&gave) {
                return Err(format!("{name}, {door:?}: {difference}"));
            }
        }
    }
    Ok(())
}

pub(crate) fn unrecorded() -> Result<(), String> {
    let doors = [Door::Bus, Door::Topic, Door::Any];
    for ((name, input), door) in unrecorded_cases().zip(doors.into_iter().cycle()) {
        if let Some(difference) = driven(&name, &input, door)?.difference(&model::snapshot(&input)?) {
            return Err(format!("{name}, {door:?}: {difference}\n{input:#?}"));
        }
    }
    Ok(())
}

/// Also in cases that nobody recorded.
pub(crate) fn rules_fit() -> Result<(), String> {
    let name = |path: &Path| path.display().to_string();
    let recorded = recorded()?.into_iter().map(|(path, case)| (name(&path), case.input));
    for (name, input) in recorded.chain(unrecorded_cases()) {
        let differ = model::live(&input)?.0 != model::snapshot(&input)?;
        let mut fitting = 0;
        for rule in &BUS_RULES {
            fitting += usize::from((rule.fits)(&input)?);
        }
        if fitting != usize::from(differ) {
            return Err(format!("{name}: the walks differ: {differ}; rules that fit: {fitting}"));
        }
    }
    Ok(())
}

/// The vendored ones, python-only or not.
pub(crate) fn recordings() -> Result<(), String> {
    for (path, file) in File::all_in(&vendored())? {
        let file = file?;
        if !KINDS.contains(&file.kind.as_str()) {
            continue; // the others' models are asked in each run
        }
        let case = file.bus_case()?;
        if let Some(difference) = model::live(&case.input)?.0.difference(&case.recorded) {
            return Err(format!("{}: {difference}", path.display()));
        }
    }
    Ok(())
}

/// With what nobody recorded for cases: another folder may have none for some rule.
pub(crate) fn rules_needed() -> Result<(), String> {
    let (mut of_subscribers, mut of_handlers, mut of_neither) = (0, 0, 0);
    for (_, input) in unrecorded_cases() {
        match model::live(&input)?.1 {
            Some(Parting::Subscribers) => of_subscribers += 1,
            Some(Parting::Handlers) => of_handlers += 1,
            None => of_neither += 1,
        }
    }
    println!(
        "unrecorded cases: {of_subscribers} and {of_handlers} by rule, {of_neither} the same for both walks"
    );
    if [of_subscribers, of_handlers, of_neither].iter().any(|count| *count < 100) {
        return Err("expected at least 100 of each".into());
    }
    // Which of those about patches are needed is for their own cases to say: `patch::unrecorded`.
    let of_patches = |deviation: &Deviation| patch::RULES.iter().any(|rule| rule.deviation == *deviation);
    let report = Report::of(&File::all_in(&vendored())?);
    let rules = BUS_RULES.len()
        + memory::RULES.len()
        + config::RULES.len()
        + monitor::RULES.len()
        + blocking::RULES.len();
    match report.deviations().filter(|deviation| !of_patches(deviation)).count() {
        count if count == rules => Ok(()),
        count => Err(format!("expected a recorded case for each of {rules} rules, found {count}")),
    }
}

/// Of the kinds that have no trace.
pub(crate) fn wrong_outcomes() -> Result<(), String> {
    let mut looked_at = 0;
    for (path, file) in File::all_in(&vendored())? {
        let file = file?;
        let result = match file.kind.as_str() {
            "memory" => memory::wrong_outcomes(&file),
            "config" => config::wrong_outcomes(&file),
            "monitor" => monitor::wrong_outcomes(&file),
            "blocking" => blocking::wrong_outcomes(&file),
            "patch" | "patch_all" => patch::wrong_outcomes(&file),
            _ => continue,
        };
        result.map_err(|error| format!("{}: {error}", path.display()))?;
        looked_at += 1;
    }
    if looked_at == 0 { Err("expected cases of the kinds that have no trace".into()) } else { Ok(()) }
}

/// Each entry of each trace wrong, missing, or there twice; and each list at the end.
pub(crate) fn wrong_traces() -> Result<(), String> {
    for (path, case) in recorded()? {
        let right = model::snapshot(&case.input)?;
        judge(&case, &BUS_RULES, &right).map_err(|error| format!("{}: {error}", path.display()))?;
        for (what, wrong) in spoilt(&right) {
            if let Ok(verdict) = judge(&case, &BUS_RULES, &wrong) {
                return Err(format!("{}: {verdict:?} with {what}", path.display()));
            }
        }
        // The live walk, where a rule says that we must not walk so.
        if case.recorded != right && judge(&case, &BUS_RULES, &case.recorded).is_ok() {
            return Err(format!("{}: gevent's trace passes for ours", path.display()));
        }
        // A case that says something else than the rule.
        let mut lies = case.clone();
        if let Some(snapshot) = &mut lies.snapshot {
            snapshot.trace.pop();
            if judge(&lies, &BUS_RULES, &right).is_ok() {
                return Err(format!("{}: nobody looks at what the case expects", path.display()));
            }
        }
        // A rule that fits everything, alone or beside the others.
        let greedy = Rule { fits: |_| Ok(true), ..BUS_RULES[0] };
        let rules = [BUS_RULES[0], BUS_RULES[1], greedy];
        if judge(&case, &rules, &right).is_ok()
            || (case.recorded == right && judge(&case, &[greedy], &right).is_ok())
        {
            return Err(format!("{}: a rule that fits everything passes", path.display()));
        }
        // A recording that the live walk does not give.
        let mut lies = case.clone();
        lies.recorded.final_subscribers.push("nobody".into());
        if judge(&lies, &BUS_RULES, &right).is_ok() {
            return Err(format!("{}: nobody looks at what was recorded", path.display()));
        }
    }
    Ok(())
}

fn spoilt(right: &Outcome) -> Vec<(String, Outcome)> {
    let mut all = Vec::new();
    let mut add = |what: String, spoil: &dyn Fn(&mut Outcome)| {
        let mut wrong = right.clone();
        spoil(&mut wrong);
        all.push((what, wrong));
    };
    for i in 0..right.trace.len() {
        add(format!("entry {i} missing"), &|wrong| drop(wrong.trace.remove(i)));
        add(format!("entry {i} twice"), &|wrong| wrong.trace.insert(i, wrong.trace[i].clone()));
        add(format!("entry {i} spoilt"), &|wrong| spoil(&mut wrong.trace[i]));
    }
    add("another subscriber at the end".into(), &|wrong| wrong.final_subscribers.push("nobody".into()));
    add("another class at the end".into(), &|wrong| wrong.final_registry.push(("nobody".into(), Vec::new())));
    add("another linearization".into(), &|wrong| drop(wrong.mro.insert("nobody".into(), Vec::new())));
    all
}

fn spoil(entry: &mut Entry) {
    match entry {
        Entry::Notify { depth, .. } | Entry::Enter { depth, .. } | Entry::Caught { depth, .. } => *depth += 1,
        Entry::Done { outcome, .. } | Entry::Exit { outcome, .. } => outcome.push('?'),
        Entry::List { after: list, .. }
        | Entry::Registered { subscribers: list, .. }
        | Entry::RegistryCleared { subscribers: list } => list.push("nobody".into()),
        Entry::Unregistered { sub: text, .. } | Entry::TopError { error: text } => text.push('?'),
    }
}

const CASE: &str = r#"{
    "kind": "classhandler", "name": "small",
    "input": {"classes": [{"name": "A"}, {"name": "B", "bases": ["A"]}], "actions": [["handler", "A", "h"], ["notify", "B"]]},
    "expected": {
        "trace": [
            {"e": "registered", "cls": "A", "sub": "h", "form": "call", "returned": "nothing", "subscribers": ["<dispatch>"]},
            {"e": "notify", "event": "B", "depth": 0},
            {"e": "enter", "sub": "h", "event": "B", "depth": 1},
            {"e": "exit", "sub": "h", "depth": 1, "outcome": "ok"},
            {"e": "done", "event": "B", "depth": 0, "outcome": "ok"}
        ],
        "final_subscribers": ["<dispatch>"], "final_registry": [["A", ["h"]]],
        "mro": {"A": ["A", "object"], "B": ["B", "A", "object"]}
    }
}"#;

fn report_of(text: &str) -> String {
    Report::of(&[(PathBuf::from("small.json"), File::parse(text))]).to_string()
}

pub(crate) fn broken_files() -> Result<(), String> {
    assert_eq!(report_of(CASE), "1 matched, 0 deviate by rule, 0 python-only, 0 failed");
    let broken = [
        (CASE, "", "expected JSON"),
        (r#""kind": "classhandler", "#, "", "kind: expected, found nothing"),
        (
            r#"["notify", "B"]"#,
            r#"["notify", "C"]"#,
            r#"expected a class from {"A", "B", "object"}, found "C""#,
        ),
        (
            r#"["notify", "B"]"#,
            r#"["notify"]"#,
            r#"input: actions: ["notify"]: expected 1 arguments, found 0"#,
        ),
        (r#"["notify", "B"]"#, r#"["shout", "B"]"#, r#"["shout","B"]: expected an op of this kind"#),
        (r#""bases": ["A"]"#, r#""bases": ["B"]"#, r#"B: expected bases from {"A", "object"}, found "B""#),
        (r#""bases": ["A"]"#, r#""bases": ["object", "A"]"#, "class B: expected bases with a linearization"),
        (r#""e": "enter""#, r#""e": "entered""#, "unknown variant `entered`"),
        (r#""depth": 1, "outcome""#, r#""deep": 1, "outcome""#, "trace: 3: expected an entry of a trace"),
        (r#"["A", ["h"]]"#, r#"["A"]"#, r#"final_registry: expected a class and its handlers, found ["A"]"#),
        (r#"["A", "object"]"#, r#"["A"]"#, "the model of the live walk does not give the recording: mro"),
        (r#"["notify", "B"]"#, r#"["clear_registry"]"#, "ClearRegistry has no counterpart here; expected"),
        (
            r#""name": "small","#,
            r#""name": "small", "live_walk_matters": true,"#,
            "expected_live_walk: expected",
        ),
    ];
    for (from, to, expected) in broken {
        assert!(CASE.contains(from), "{from}");
        let report = report_of(&CASE.replacen(from, to, 1));
        if !(report.contains("failed: small.json: ")
            && report.contains(expected)
            && report.ends_with(" 1 failed"))
        {
            return Err(format!("{from} replaced by {to}: expected {expected}, found:\n{report}"));
        }
    }
    match File::all_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")) {
        Err(error) if error.contains("expected KIND--NAME.json files, found none") => Ok(()),
        _ => Err("expected an error for a folder without cases".into()),
    }
}

pub(crate) fn unknown_kinds() -> Result<(), String> {
    let unknown = report_of(&CASE.replace("classhandler", "weather").replace("trace", "rain"));
    let expected = "skipped: 1 of the kind weather, which is not known here\n\
                    0 matched, 0 deviate by rule, 0 python-only, 0 failed";
    assert_eq!(unknown, expected);
    let python = CASE
        .replace("classhandler", "weather")
        .replace(r#""depth": 0"#, r#""depth": -Infinity, "\"NaN": [NaN]"#);
    assert_eq!(report_of(&python), expected, "Python's numbers");
    let flagged = CASE.replace(r#""name": "small","#, r#""name": "small", "python_only": ["handler"],"#);
    assert_eq!(report_of(&flagged), "0 matched, 0 deviate by rule, 1 python-only, 0 failed");
    Ok(())
}
