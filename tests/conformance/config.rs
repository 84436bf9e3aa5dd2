//! The kind `config`: settings by environment, or assigned.
//!
//! Owns what a row says, what it must give (by gevent's rules, and by ours where zero, nothing or no end is meant), and how settings
//! are driven. What gevent is assigned as a value of Python is here given as its text: this is what our settings are read from.

use crate::case::File;
use crate::json::{array, at, expected, field, object, text};
use crate::rules::{Deviation, RuleOf, Verdict, judge_value};
use serde_json::Value;
use signalpost_monitor::MonitorConfig;
use std::time::Duration;

/// One value for one setting.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// gevent's variable.
    variable: String,
    takes: Takes,
    /// Assigned in code, and not in the environment.
    assigned: bool,
    value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Takes {
    Truth { default: bool },
    Time { default: f64 },
    Size,
}

/// What a setting is then.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Gave {
    /// The value is refused. (Of which type Python's error is, is Python's.)
    Error,
    Nothing,
    Truth(bool),
    Number(f64),
    Endless,
}

pub(crate) static RULES: [RuleOf<Row, Gave>; 2] = [
    RuleOf {
        deviation: Deviation {
            name: "what is empty, zero or without end is off",
            replaces: "S-139, S-140: an error, or which it is depends on the setting",
        },
        fits: means_off,
        model: |_| Gave::Nothing,
    },
    RuleOf {
        deviation: Deviation {
            name: "a value is of its setting's kind",
            replaces: "S-138 to S-140 for values that are no texts: any number is a truth, a truth a number",
        },
        fits: of_another_kind,
        model: |_| Gave::Error,
    },
];

fn means_off(row: &Row) -> bool {
    let Value::String(text) = &row.value else {
        return row.takes == Takes::Size && row.value.as_i64() == Some(0);
    };
    let said = text.trim().to_lowercase();
    match row.takes {
        Takes::Truth { .. } => false,
        // An empty text is nothing in gevent too.
        Takes::Time { .. } if text.is_empty() => false,
        Takes::Time { .. } => {
            said.is_empty()
                || said == "off"
                || python_float(&said).is_some_and(|n| n == 0.0 || n == f64::INFINITY)
        }
        Takes::Size => said.is_empty() || said == "off" || python_size(text) == Some(0),
    }
}

fn of_another_kind(row: &Row) -> bool {
    match (row.takes, &row.value) {
        (Takes::Truth { .. }, Value::Number(number)) => !["0", "1"].contains(&number.to_string().as_str()),
        (Takes::Time { .. }, value) => value.is_boolean(),
        (Takes::Size, Value::Bool(truth)) => *truth,
        (Takes::Size, Value::Number(number)) => number.is_f64() && number.as_f64() > Some(0.0),
        _ => false,
    }
}

pub(crate) fn run(file: &File) -> Result<Verdict, String> {
    let mut deviations = Vec::new();
    for (row, recorded) in parse(file)? {
        let judged = judge_value(&row, &recorded, &gevent(&row), &drive(&row)?, &RULES);
        deviations.extend(judged.map_err(at(&row.value.to_string()))?);
    }
    deviations.sort();
    deviations.dedup();
    Ok(Verdict::of(deviations))
}

fn parse(file: &File) -> Result<Vec<(Row, Gave)>, String> {
    let (input, body) = (object(file.part("input")?)?, object(file.part("expected")?)?);
    let setting = text(field(input, "setting")?)?;
    let takes = match setting.as_str() {
        "monitor_thread" => Takes::Truth { default: false },
        "print_blocking_reports" => Takes::Truth { default: true },
        "max_blocking_time" => Takes::Time { default: 0.1 },
        "memory_monitor_period" => Takes::Time { default: 5.0 },
        "max_memory_usage" => Takes::Size,
        other => return Err(format!("setting: expected one of gevent's monitor's, found {other}")),
    };
    let assigned = match text(field(input, "via")?)?.as_str() {
        "set" => true,
        "env" => false,
        other => return Err(format!("via: expected set or env, found {other}")),
    };
    let variable = text(field(body, "environment_key")?)?;
    let values = array(field(input, "values")?)?;
    let rows = array(field(body, "rows")?)?;
    if values.len() != rows.len() {
        return Err(format!("rows: expected {}, found {}", values.len(), rows.len()));
    }
    let row = |(value, row): (&Value, &Value)| {
        let row = Row { variable: variable.clone(), takes, assigned, value: value.clone() }.recorded(row)?;
        Ok(row)
    };
    values.iter().zip(rows).map(row).collect::<Result<_, String>>().map_err(at("rows"))
}

impl Row {
    fn recorded(self, row: &Value) -> Result<(Self, Gave), String> {
        let body = object(row)?;
        if field(body, "input")? != &self.value {
            return Err(expected(&format!("the row of {}", self.value), row));
        }
        if let Some(error) = body.get("error") {
            return match text(error)?.as_str() {
                "ValueError" | "TypeError" => Ok((self, Gave::Error)),
                _ => Err(expected("ValueError or TypeError", error)),
            };
        }
        let gave = match (text(field(body, "type")?)?.as_str(), field(body, "value")?) {
            ("NoneType", Value::Null) => Gave::Nothing,
            ("bool", Value::Bool(truth)) => Gave::Truth(*truth),
            ("int" | "float", Value::Number(number)) => Gave::Number(number.as_f64().unwrap_or(f64::NAN)),
            ("float", Value::Null) => Gave::Endless, // see `as_json`
            _ => return Err(expected("a value and its type", row)),
        };
        Ok((self, gave))
    }
}

/// S-138 to S-140.
fn gevent(row: &Row) -> Gave {
    let number = |number: f64| match number {
        n if n == f64::INFINITY => Gave::Endless,
        n if n <= 0.0 => Gave::Error,
        n => Gave::Number(n),
    };
    match (row.takes, &row.value) {
        (Takes::Truth { default }, Value::Null) => Gave::Truth(default && !row.assigned),
        (Takes::Truth { .. }, Value::String(text)) => match text.trim().to_lowercase().as_str() {
            "1" | "true" | "on" | "yes" => Gave::Truth(true),
            "0" | "false" | "off" | "no" | "" => Gave::Truth(false),
            _ => Gave::Error,
        },
        (Takes::Truth { .. }, value) => Gave::Truth(value.as_bool().unwrap_or(value.as_f64() != Some(0.0))),
        (Takes::Time { default }, Value::Null) if !row.assigned => Gave::Number(default),
        (Takes::Time { .. }, Value::Null | Value::Bool(false)) => Gave::Nothing,
        (Takes::Time { .. }, Value::Bool(true)) => Gave::Number(1.0),
        (Takes::Time { .. }, Value::String(text)) if text.is_empty() => Gave::Nothing,
        (Takes::Time { .. }, Value::String(text)) => python_float(text).map_or(Gave::Error, number),
        (Takes::Time { .. }, value) if value.as_f64() == Some(0.0) => Gave::Nothing,
        (Takes::Size, Value::Null) => Gave::Nothing,
        (Takes::Size, Value::Bool(truth)) => {
            if *truth {
                Gave::Truth(true)
            } else {
                Gave::Error
            }
        }
        (Takes::Size, Value::String(text)) => {
            python_size(text).map_or(Gave::Error, |bytes| number(bytes as f64))
        }
        (_, value) => value.as_f64().map_or(Gave::Error, number),
    }
}

/// Underscores between digits are nothing to Python.
fn digits(text: &str) -> Option<String> {
    let text = text.trim();
    let parts: Vec<&str> = text.split('_').collect();
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let between = |pair: &[&str]| digit(pair[0].chars().last()) && digit(pair[1].chars().next());
    parts.windows(2).all(between).then(|| parts.concat())
}

fn python_float(text: &str) -> Option<f64> {
    digits(text)?.parse().ok()
}

fn python_size(text: &str) -> Option<i128> {
    let text = text.to_lowercase();
    let units = [("kb", 1i128 << 10), ("mb", 1 << 20), ("gb", 1 << 30)];
    let unit = units.into_iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)));
    let (number, unit) = unit.unwrap_or((&text, 1));
    digits(number)?.parse::<i128>().ok()?.checked_mul(unit)
}

fn drive(row: &Row) -> Result<Gave, String> {
    let variable = row.variable.strip_prefix("GEVENT_").map(|rest| format!("SIGNALPOST_{rest}"));
    let variable = variable.ok_or_else(|| format!("expected GEVENT_…, found {}", row.variable))?;
    let said = match &row.value {
        Value::Null if !row.assigned => None,
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let config = match MonitorConfig::from_vars(said.map(|said| (variable.clone(), said))) {
        Ok(config) => config,
        Err(errors) => match errors.errors() {
            [error] if error.variable == variable => return Ok(Gave::Error),
            _ => return Err(format!("expected an error about {variable}, found {errors}")),
        },
    };
    let time = |time: Option<Duration>| time.map_or(Gave::Nothing, |time| Gave::Number(time.as_secs_f64()));
    Ok(match variable.as_str() {
        "SIGNALPOST_MONITOR_THREAD_ENABLE" => Gave::Truth(config.monitor_thread),
        "SIGNALPOST_MONITOR_PRINT_BLOCKING_REPORTS" => Gave::Truth(config.print_blocking_reports),
        "SIGNALPOST_MAX_BLOCKING_TIME" => time(config.max_blocking_time),
        "SIGNALPOST_MONITOR_MEMORY_PERIOD" => time(config.memory_monitor_period),
        "SIGNALPOST_MONITOR_MEMORY_MAX" => {
            config.max_memory_usage.map_or(Gave::Nothing, |bytes| Gave::Number(bytes as f64))
        }
        other => return Err(format!("expected a variable that is ours, found {other}")),
    })
}

/// Texts and values that nobody recorded, for every setting and way: as gevent, or as one rule says.
pub(crate) fn unrecorded() -> Result<(), String> {
    let texts = [
        "", " ", "0", " 0 ", "0.0", "-0.5", "off", " OFF", "on", "inf", "+inf", "-inf", "1_0", "1__0", "_1",
        "7", "7kb", "0mb", "7 GB", "7gb ", "1e2", "x", "kb", "0x1", "1.5", " 12", "12 ", "+3", "true",
        "3mb3",
    ];
    let numbers = ["0", "1", "2", "-1", "0.5", "-0.5", "100", "true", "false", "null"];
    let number = |text: &&str| serde_json::from_str::<Value>(text).expect("JSON");
    let values = texts.iter().map(|text| Value::from(*text)).chain(numbers.iter().map(number));
    let settings = [
        ("GEVENT_MONITOR_THREAD_ENABLE", Takes::Truth { default: false }),
        ("GEVENT_MONITOR_PRINT_BLOCKING_REPORTS", Takes::Truth { default: true }),
        ("GEVENT_MAX_BLOCKING_TIME", Takes::Time { default: 0.1 }),
        ("GEVENT_MONITOR_MEMORY_PERIOD", Takes::Time { default: 5.0 }),
        ("GEVENT_MONITOR_MEMORY_MAX", Takes::Size),
    ];
    for value in values {
        for (variable, takes) in settings {
            for assigned in [true, false] {
                if !(assigned || value.is_string() || value.is_null()) {
                    continue; // an environment has texts
                }
                let row = Row { variable: variable.into(), takes, assigned, value: value.clone() };
                let gevents = gevent(&row);
                judge_value(&row, &gevents, &gevents, &drive(&row)?, &RULES)
                    .map_err(|error| format!("{row:?}: {error}"))?;
            }
        }
    }
    Ok(())
}

/// Another value for each row; gevent's where a rule says that we must differ.
pub(crate) fn wrong_outcomes(file: &File) -> Result<(), String> {
    for (row, recorded) in parse(file)? {
        let (gevents, right) = (gevent(&row), drive(&row)?);
        let others = [
            Gave::Error,
            Gave::Nothing,
            Gave::Truth(true),
            Gave::Truth(false),
            Gave::Number(0.5),
            Gave::Endless,
        ];
        for wrong in others.into_iter().filter(|other| *other != right) {
            if judge_value(&row, &recorded, &gevents, &wrong, &RULES).is_ok() {
                return Err(format!("{row:?}: {wrong:?} passes"));
            }
            if judge_value(&row, &wrong, &gevents, &right, &RULES).is_ok() && wrong != recorded {
                return Err(format!("{row:?}: nobody looks at what was recorded"));
            }
        }
        let greedy = [RuleOf { fits: |_| true, ..RULES[0] }];
        if right == gevents && judge_value(&row, &recorded, &gevents, &right, &greedy).is_ok() {
            return Err(format!("{row:?}: a rule that fits everything passes"));
        }
    }
    Ok(())
}
