use proptest::prelude::*;

use super::*;

/// The head as a connection would read it, in pieces of `piece` bytes.
fn read(bytes: &[u8], piece: usize) -> Result<(Head, Request), Refusal> {
    let mut scanner = Scanner::default();
    let mut bytes_so_far = Vec::new();
    let mut end = None;
    for piece in bytes.chunks(piece) {
        bytes_so_far.extend_from_slice(piece);
        end = scanner.end(&bytes_so_far)?;
        if end.is_some() {
            break;
        }
    }
    let mut request = Request::default();
    let head = parse(&bytes_so_far[..end.expect("no end")], &Limits::default(), &mut request)?;
    Ok((head, request))
}

fn meaning(headers: &str) -> Result<Head, Refusal> {
    read(format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes(), 4096)
        .map(|(head, _)| head)
}

#[test]
fn a_head_is_the_same_however_it_is_cut() {
    let bytes = b"GET /a?b=%20c HTTP/1.1\r\nHost: a\r\nX-Note:  two words \r\n\r\nbody";

    for piece in 1..=bytes.len() {
        let (head, request) = read(bytes, piece).unwrap();
        assert_eq!(head.framing, Framing::Nothing);
        assert_eq!(request.method, "GET");
        assert_eq!(request.target, "/a?b=%20c");
        assert_eq!(
            request.headers,
            [("Host".to_owned(), "a".to_owned()), ("X-Note".to_owned(), "two words".to_owned())]
        );
    }
}

#[test]
fn a_request_keeps_nothing_of_the_one_before() {
    let mut request = Request::default();
    let first = b"POST /a/long/target HTTP/1.1\r\nHost: a\r\nAuthorization: secret\r\n\r\n";
    let second = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n";
    parse(first, &Limits::default(), &mut request).unwrap();
    request.body.extend_from_slice(b"secret");

    parse(second, &Limits::default(), &mut request).unwrap();

    assert_eq!(request.method, "GET");
    assert_eq!(request.target, "/");
    assert_eq!(request.headers, [("Host".to_owned(), "b".to_owned())]);
    assert_eq!(request.body, b"");
}

#[test]
fn the_framing_headers_say_what_follows() {
    let framing = |headers| meaning(headers).map(|head| head.framing);

    assert_eq!(framing(""), Ok(Framing::Nothing));
    assert_eq!(framing("Content-Length: 0\r\n"), Ok(Framing::Nothing));
    assert_eq!(framing("content-length: 0012\r\n"), Ok(Framing::Length(12)));
    assert_eq!(framing("TRANSFER-ENCODING: Chunked\r\n"), Ok(Framing::Chunked));
    assert_eq!(framing("Content-Length: 1,1\r\n"), Err(Refusal::Malformed));
    assert_eq!(framing("Transfer-Encoding: x\r\n"), Err(Refusal::Malformed));
    assert_eq!(
        framing("Transfer-Encoding: x, chunked\r\n"),
        Err(Refusal::TransferCodingUnsupported)
    );
}

#[test]
fn an_http_1_0_client_is_not_told_to_continue() {
    let head = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";

    let (head, _) = read(head, 4096).unwrap();

    assert_eq!(head.expectation, Expectation::Nothing);
    assert!(!head.keep_alive);
}

#[test]
fn close_outweighs_keep_alive() {
    let keep_alive = |headers| meaning(headers).map(|head| head.keep_alive);

    assert_eq!(keep_alive("Connection: keep-alive, close\r\n"), Ok(false));
    assert_eq!(keep_alive("Connection: close\r\nConnection: keep-alive\r\n"), Ok(false));
    assert_eq!(keep_alive("Connection: closed\r\n"), Ok(true));
}

#[test]
fn options_may_ask_for_the_server_itself() {
    assert!(read(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 4096).is_ok());
}

/// Heads that are near enough to right ones to be accepted now and then.
fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        Just(b"Host: a\r\n".to_vec()),
        Just(b"Content-Length: 5\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"X: y\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 1..3),
    ];
    proptest::collection::vec(pieces, 0..6).prop_map(|pieces| {
        let mut head = b"GET / HTTP/1.1\r\n".to_vec();
        head.extend(pieces.concat());
        head.extend(b"\r\n");
        head
    })
}

proptest! {
    #[test]
    fn an_accepted_head_has_one_host_one_framing_and_plain_text(bytes in nearly_a_head()) {
        let mut scanner = Scanner::default();
        let Ok(Some(end)) = scanner.end(&bytes) else { return Ok(()) };
        let mut request = Request::default();
        let Ok(head) = parse(&bytes[..end], &Limits::default(), &mut request) else {
            return Ok(());
        };

        prop_assert_eq!(request.header_values("Host").count(), 1);
        let lengths = request.header_values("Content-Length").count();
        let codings = request.header_values("Transfer-Encoding").count();
        prop_assert!(lengths + codings <= 1);
        prop_assert_eq!(lengths + codings == 0, head.framing == Framing::Nothing);
        for (name, value) in &request.headers {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')));
        }
    }
}
