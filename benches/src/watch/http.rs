//! HTTP/1.1 as the watched servers speak it, and as the load asks: keep-alive, no bodies in requests.
//!
//! Owns the bytes; does no input or output, so that servers on any loop share it.
//! Not here: what is answered (`desk.rs`), the loops (`serve_tokio.rs`, `serve_mio.rs`).

use std::{error::Error, fmt};

/// A request's line and headers may be this long.
const HEAD_LIMIT: usize = 8 * 1024;
const HEADERS: usize = 32;

/// One side of a connection: bytes that came and were not understood yet.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `GET /hello`
    Hello,
    /// `POST /jobs/N`: do what was laid on the desk under that number.
    Job(u64),
    /// Any other.
    Unknown,
}

/// The other side does not speak as agreed; the connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbled {
    /// Not HTTP/1.
    Head(httparse::Error),
    /// A head over 8 KiB.
    TooLong,
    /// A request with a body.
    Body,
}

impl Inbox {
    /// More bytes came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next request, if all of it is there.
    ///
    /// # Errors
    /// When it never will be.
    pub fn request(&mut self) -> Result<Option<Request>, Garbled> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(&self.bytes).map_err(Garbled::Head)? else {
            return if self.bytes.len() > HEAD_LIMIT { Err(Garbled::TooLong) } else { Ok(None) };
        };
        if body_length(head.headers) != Some(0) {
            return Err(Garbled::Body);
        }
        let request = match (head.method, head.path) {
            (Some("GET"), Some("/hello")) => Request::Hello,
            (Some("POST"), Some(path)) => match path.strip_prefix("/jobs/").and_then(|n| n.parse().ok()) {
                Some(number) => Request::Job(number),
                None => Request::Unknown,
            },
            _ => Request::Unknown,
        };
        self.bytes.drain(..length);
        Ok(Some(request))
    }

    /// The next answer's status, if all of it is there.
    ///
    /// # Errors
    /// When it never will be.
    pub fn answer(&mut self) -> Result<Option<u16>, Garbled> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(&self.bytes).map_err(Garbled::Head)? else {
            return if self.bytes.len() > HEAD_LIMIT { Err(Garbled::TooLong) } else { Ok(None) };
        };
        let body = body_length(head.headers).filter(|body| *body <= HEAD_LIMIT).ok_or(Garbled::Body)?;
        let status = head.code.expect("a complete head has a status");
        if self.bytes.len() < length + body {
            return Ok(None);
        }
        self.bytes.drain(..length + body);
        Ok(Some(status))
    }
}

/// Zero if it is not said; none if it is said and is no number, or in chunks.
fn body_length(headers: &[httparse::Header<'_>]) -> Option<usize> {
    let value = |name| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    match (value("transfer-encoding"), value("content-length")) {
        (Some(_), _) => None,
        (None, None) => Some(0),
        (None, Some(length)) => std::str::from_utf8(length.value).ok()?.trim().parse().ok(),
    }
}

/// A request's bytes.
pub fn request(method: &str, path: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// An answer's bytes.
pub fn answer(status: u16, body: &str) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        _ => "Internal Server Error",
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => write!(f, "not HTTP/1: {error}"),
            Self::TooLong => write!(f, "a head over {HEAD_LIMIT} bytes"),
            Self::Body => f.write_str("a body that is not served here"),
        }
    }
}

impl Error for Garbled {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_understood_byte_by_byte_and_one_after_another() {
        let bytes =
            [request("GET", "/hello"), request("POST", "/jobs/17"), request("POST", "/jobs/x")].concat();
        let mut inbox = Inbox::default();
        let mut understood = Vec::new();
        for byte in bytes {
            inbox.feed(&[byte]);
            understood.extend(inbox.request().unwrap());
        }
        assert_eq!(understood, [Request::Hello, Request::Job(17), Request::Unknown]);
        inbox.feed(&[request("GET", "/hello"), request("GET", "/hello")].concat());
        assert_eq!(inbox.request(), Ok(Some(Request::Hello)));
        assert_eq!(inbox.request(), Ok(Some(Request::Hello)));
        assert_eq!(inbox.request(), Ok(None));
    }

    #[test]
    fn an_answer_is_there_when_its_body_is() {
        let bytes = answer(200, "hello");
        let mut inbox = Inbox::default();
        inbox.feed(&bytes[..bytes.len() - 1]);
        assert_eq!(inbox.answer(), Ok(None));
        inbox.feed(&[&bytes[bytes.len() - 1..], &answer(404, "")].concat());
        assert_eq!(inbox.answer(), Ok(Some(200)));
        assert_eq!(inbox.answer(), Ok(Some(404)));
        assert_eq!(inbox.answer(), Ok(None));
    }

    #[test]
    fn what_is_no_request_is_refused_and_does_not_grow() {
        let garbled = |bytes: &[u8]| {
            let mut inbox = Inbox::default();
            inbox.feed(bytes);
            inbox.request().unwrap_err()
        };
        assert!(matches!(garbled(b"\x16\x03\x01 hello\r\n\r\n"), Garbled::Head(_)));
        assert_eq!(garbled(b"POST /jobs/1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"), Garbled::Body);
        assert_eq!(garbled(b"POST /jobs/1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), Garbled::Body);
        let endless = [b"GET /".to_vec(), vec![b'a'; HEAD_LIMIT]].concat();
        assert_eq!(garbled(&endless), Garbled::TooLong);
    }
}
