//! Values of JSON as what they are expected to be; else an error that says what was found instead.

use crate::case::Id;
use serde_json::{Map, Value};

/// Python's JSON has `NaN` and `Infinity`, which others have not: as `null`, outside texts.
pub(crate) fn as_json(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    let (mut rest, mut in_text) = (text, false);
    while let Some(c) = rest.chars().next() {
        let of_python = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| rest.starts_with(word));
        let taken = match (in_text, c, of_python) {
            (false, _, Some(word)) => {
                json.push_str("null");
                rest = &rest[word.len()..];
                continue;
            }
            (true, '\\', _) => rest.chars().take(2).map(char::len_utf8).sum(),
            (_, '"', _) => {
                in_text = !in_text;
                1
            }
            _ => c.len_utf8(),
        };
        json.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    json
}

pub(crate) fn field<'v>(body: &'v Map<String, Value>, key: &str) -> Result<&'v Value, String> {
    body.get(key).ok_or_else(|| format!("{key}: expected, found nothing"))
}

pub(crate) fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| expected("an object", value))
}

pub(crate) fn array(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| expected("a list", value))
}

pub(crate) fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| expected("a text", value))
}

pub(crate) fn integer(value: &Value) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| expected("an integer", value))
}

pub(crate) fn texts(value: &Value) -> Result<Vec<String>, String> {
    array(value)?.iter().map(text).collect()
}

pub(crate) fn ids(value: &Value) -> Result<Vec<Id>, String> {
    array(value)?.iter().map(|id| text(id).map(Id::from)).collect()
}

pub(crate) fn expected(what: &str, found: &Value) -> String {
    format!("expected {what}, found {found}")
}

/// Says where an error is.
pub(crate) fn at(place: &str) -> impl Fn(String) -> String {
    move |error| format!("{place}: {error}")
}
