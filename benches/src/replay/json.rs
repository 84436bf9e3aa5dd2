//! One value out of a line of JSON, without the rest being kept.
//!
//! Owns the way down the keys. Not here: lines (`format.rs`).

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The text of a number or a string in an object: under a key of this name, or under several with points between them.
///
/// # Errors
/// What was found, and what was expected, when there is none.
pub(super) fn at<'t>(
    line: &'t [u8],
    path: &str,
    unescaped: &'t mut String,
) -> Result<&'t [u8], (String, String)> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    let value = Down { path }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    let expected = || format!("one JSON object with a time under '{path}'");
    let value = match value {
        Ok(Some(value)) => value.get(),
        Ok(None) => return Err((format!("{}, without such a key", keys_of(line)), expected())),
        Err(error) => return Err((format!("{} ({error})", super::format::shown(line)), expected())),
    };
    if !value.starts_with('"') {
        return match value.as_bytes()[0] {
            b'-' | b'0'..=b'9' => Ok(value.as_bytes()),
            _ => Err((super::format::shown(value.as_bytes()), expected())),
        };
    }
    if value.contains('\\') {
        *unescaped = serde_json::from_str(value).expect("it has been read as JSON");
        return Ok(unescaped.as_bytes());
    }
    Ok(&value.as_bytes()[1..value.len() - 1])
}

/// The keys of an object, in words.
pub(super) fn keys_of(line: &[u8]) -> String {
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line) {
        Ok(object) if object.is_empty() => "an empty object".to_owned(),
        Ok(object) => format!("the keys {}", object.keys().cloned().collect::<Vec<_>>().join(", ")),
        Err(_) => super::format::shown(line),
    }
}

/// Looks for the value at the end of the path.
struct Down<'p> {
    path: &'p str,
}

impl<'de> DeserializeSeed<'de> for Down<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Down<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(step) = map.next_key_seed(Step { path: self.path })? {
            match step {
                Some("") => found = Some(map.next_value::<&RawValue>()?),
                Some(path) if found.is_none() => found = map.next_value_seed(Down { path })?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    // What is no object has no such key. The line itself is one, or `reader.end()` would not be reached.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// What a key leaves of the path: all of it may be one key with points in it, or its first part is; none where it is another key.
struct Step<'p> {
    path: &'p str,
}

impl<'de, 'p> DeserializeSeed<'de> for Step<'p> {
    type Value = Option<&'p str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for Step<'p> {
    type Value = Option<&'p str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(match self.path.strip_prefix(key) {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix('.').filter(|rest| !rest.is_empty()),
            None => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(line: &str, path: &str) -> Result<String, (String, String)> {
        let mut unescaped = String::new();
        at(line.as_bytes(), path, &mut unescaped).map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn a_value_is_found_under_a_key_or_a_way_of_keys() {
        let found = |line: &str, path: &str| find(line, path).unwrap();
        assert_eq!(found(r#"{"a":{"ts":2},"ts":1,"b":[1]}"#, "ts"), "1");
        assert_eq!(
            found(r#"{"x":7,"a":{"b":{"ts":"2026-01-31T00:00:00Z"}}}"#, "a.b.ts"),
            "2026-01-31T00:00:00Z"
        );
        assert_eq!(found(r#"{"event.created":3,"event":{"x":1}}"#, "event.created"), "3");
        assert_eq!(found(r#"{"ts":1767225600.123456789}"#, "ts"), "1767225600.123456789");
        assert_eq!(found(r#"{"ts":"2026\u002d01-31T00:00:00Z"}"#, "ts"), "2026-01-31T00:00:00Z");
        assert_eq!(found("{\"ts\": 1, \"é\": \"\\ud83d\\ude00\"}", "ts"), "1");
    }

    #[test]
    fn a_line_without_it_says_which_keys_there_are() {
        assert!(find(r#"{"a":1,"b":2}"#, "ts").unwrap_err().0.contains("the keys a, b"));
        assert!(find(r#"{"a":1}"#, "a.ts").unwrap_err().0.contains("the keys a,"));
        assert!(find("{}", "ts").unwrap_err().0.contains("an empty object"));
        assert!(find("[1]", "ts").unwrap_err().0.contains("'[1]'"));
    }

    #[test]
    fn a_line_that_is_no_json_and_a_value_that_can_be_no_time_are_broken() {
        for line in
            [r#"{"ts":1,"#, r#"{"ts":1} x"#, "ts=1", r#"{"ts":null}"#, r#"{"ts":{"a":1}}"#, r#"{"ts":true}"#]
        {
            let (found, expected) = find(line, "ts").unwrap_err();
            assert!(!found.is_empty() && expected.contains("'ts'"), "{line}: {found}");
        }
    }
}
