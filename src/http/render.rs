//! A response as bytes: status line, the loop's own headers, the response's headers, the body, in
//! one buffer for one write.
//!
//! `StatusCode` of `tiny_http` names the status. Its `Response::raw_print` does not
//! fit: it always adds a `Server` header, chunks long bodies, sends a Content-Length with 204, and
//! reads the system's clock for `Date`.

use std::io::Write as _;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use tiny_http::StatusCode;

use super::Response;
use super::head::Version;

/// Headers that only the loop may send, since they frame the message or name the connection.
const OWN_HEADERS: [&str; 8] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What every answer says unless it says otherwise. Most hold a key, a token or personal data, and a
/// refusal may quote one, so no cache keeps a copy; and nobody guesses at a type.
const DEFAULTS: [(&str, &str); 2] =
    [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];

/// How one response leaves its connection.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) version: Version,
    pub(super) connection: Connection,
    pub(super) content: Content,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    Kept,
    Closed,
}

/// Whether the body goes out: the answer to a HEAD counts it and leaves it out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Sent,
    Withheld,
}

/// Replaces `out` with the bytes of `response`.
pub(super) fn render(out: &mut Vec<u8>, response: &Response, manner: Manner, date: &str) {
    out.clear();
    // An interim or invented status would leave the peer waiting, or guessing where the body ends.
    let status = if (200..600).contains(&response.status) { response.status } else { 500 };
    out.extend_from_slice(b"HTTP/1.1 ");
    push_number(out, usize::from(status));
    out.push(b' ');
    out.extend_from_slice(StatusCode(status).default_reason_phrase().as_bytes());
    out.extend_from_slice(b"\r\nDate: ");
    out.extend_from_slice(date.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in &response.headers {
        if !OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            push_header(out, name, value);
        }
    }
    for (name, value) in DEFAULTS {
        if !response.headers.iter().any(|(it, _)| it.eq_ignore_ascii_case(name)) {
            push_header(out, name, value);
        }
    }
    let is_bodiless = matches!(status, 204 | 304);
    if !is_bodiless {
        out.extend_from_slice(b"Content-Length: ");
        push_number(out, response.body.len());
        out.extend_from_slice(b"\r\n");
    }
    match (manner.connection, manner.version) {
        (Connection::Closed, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (Connection::Kept, Version::Http10) => {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        (Connection::Kept, Version::Http11) => {}
    }
    out.extend_from_slice(b"\r\n");
    if !is_bodiless && manner.content == Content::Sent {
        out.extend_from_slice(&response.body);
    }
}

/// Control characters become spaces: a value can hold text of a stranger, and CR LF in it would
/// begin a header, or a response, of his.
fn push_header(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    if value.bytes().any(|byte| byte.is_ascii_control()) {
        out.extend(value.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    } else {
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn push_number(out: &mut Vec<u8>, number: usize) {
    let written = write!(out, "{number}");
    debug_assert!(written.is_ok(), "writing to memory cannot fail");
}

/// The `Date` header's text, made once per second.
#[derive(Default)]
pub(super) struct DateText {
    second: Option<i64>,
    text: String,
}

impl DateText {
    pub(super) fn at(&mut self, now_ms: i64) -> &str {
        let second = now_ms.div_euclid(1000);
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = imf_fixdate(second);
        }
        &self.text
    }
}

/// RFC 9110 section 5.6.7, for example `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_fixdate(second: i64) -> String {
    let timestamp = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
    DateTimePrinter::new().timestamp_to_rfc9110_string(&timestamp).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT_LINES: &str = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
    const KEPT: Manner =
        Manner { version: Version::Http11, connection: Connection::Kept, content: Content::Sent };

    fn text(response: &Response, manner: Manner) -> String {
        let mut out = Vec::new();
        render(&mut out, response, manner, "today");
        String::from_utf8(out).unwrap()
    }

    fn response(status: u16, headers: Vec<(&'static str, String)>) -> Response {
        Response { status, headers, body: b"abc".to_vec() }
    }

    #[test]
    fn a_response_has_its_own_headers_and_the_loops_and_no_other() {
        let headers = vec![("Content-Type", "text/plain".to_owned())];

        assert_eq!(
            text(&response(200, headers), KEPT),
            format!(
                "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Type: text/plain\r\n{DEFAULT_LINES}\
                 Content-Length: 3\r\n\r\nabc"
            )
        );
    }

    #[test]
    fn an_answer_that_may_be_cached_says_so_itself() {
        let headers = vec![("cache-control", "no-cache".to_owned())];

        let sent = text(&response(200, headers), KEPT);

        assert!(sent.contains("\r\ncache-control: no-cache\r\n"), "{sent}");
        assert!(!sent.contains("no-store") && sent.contains("nosniff"), "{sent}");
    }

    #[test]
    fn a_line_break_in_a_header_value_begins_no_header() {
        let headers = vec![("X-Name", "a\r\nSet-Cookie: b\n\r\0c".to_owned())];

        let sent = text(&response(200, headers), KEPT);

        assert!(sent.contains("\r\nX-Name: a  Set-Cookie: b   c\r\n"), "{sent}");
    }

    #[test]
    fn the_framing_headers_of_a_response_are_the_loops() {
        let headers = vec![
            ("content-length", "99".to_owned()),
            ("Transfer-Encoding", "chunked".to_owned()),
            ("connection", "upgrade".to_owned()),
        ];

        assert_eq!(
            text(&response(200, headers), KEPT),
            format!(
                "HTTP/1.1 200 OK\r\nDate: today\r\n{DEFAULT_LINES}Content-Length: 3\r\n\r\nabc"
            )
        );
    }

    #[test]
    fn no_content_and_not_modified_have_no_body_and_no_length() {
        for (status, line) in [(204, "204 No Content"), (304, "304 Not Modified")] {
            assert_eq!(
                text(&response(status, vec![]), KEPT),
                format!("HTTP/1.1 {line}\r\nDate: today\r\n{DEFAULT_LINES}\r\n")
            );
        }
    }

    #[test]
    fn an_interim_status_goes_out_as_a_failure() {
        assert!(text(&response(100, vec![]), KEPT).starts_with("HTTP/1.1 500 "));
    }

    #[test]
    fn the_date_is_the_clocks_to_the_second() {
        let mut date = DateText::default();

        assert_eq!(date.at(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date.at(784_111_778_000), "Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
