//! Typed messages: every accepted one is written again as it was, every field is judged, unknown ones are kept.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod common;

use common::signature;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tr_protocol::frame::{Encoder, Frame, Kind};
use tr_protocol::message::*;
use tr_protocol::value::*;
use tr_protocol::{Error, ErrorKind, base64};

/// The three layers under one roof.
#[derive(Clone, Debug, PartialEq)]
enum Any<'a> {
    Outer(Outer<'a>),
    Link(Link<'a>),
    Inner(Inner<'a>),
}

#[derive(Clone, Copy, Debug)]
enum Layer {
    Outer,
    Link,
    Inner,
}

fn parse<'a>(layer: Layer, frame: &Frame<'a>) -> Result<Any<'a>, Error> {
    match layer {
        Layer::Outer => Outer::parse(frame).map(Any::Outer),
        Layer::Link => Link::parse(frame).map(Any::Link),
        Layer::Inner => Inner::parse(frame).map(Any::Inner),
    }
}

fn encode<'b>(message: &Any<'_>, buffer: &'b mut [u8]) -> Result<Encoder<'b>, Error> {
    match message {
        Any::Outer(message) => message.encode(buffer),
        Any::Link(message) => message.encode(buffer),
        Any::Inner(message) => message.encode(buffer),
    }
}

type Row = (
    Layer,
    Kind,
    &'static str,
    core::ops::RangeInclusive<usize>,
    &'static [FieldSpec],
);

fn all() -> Vec<Row> {
    let row = |layer| {
        move |(kind, verb, signatures, fields): &(Kind, &'static str, core::ops::RangeInclusive<usize>, _)| {
            (layer, *kind, *verb, signatures.clone(), *fields)
        }
    };
    let mut rows: Vec<Row> = Outer::MESSAGES.iter().map(row(Layer::Outer)).collect();
    rows.extend(Link::MESSAGES.iter().map(row(Layer::Link)));
    rows.extend(Inner::MESSAGES.iter().map(row(Layer::Inner)));
    rows
}

/// A valid value of a field's type, as text.
fn value_of(spec: &FieldSpec) -> BoxedStrategy<String> {
    let octets = |octets: Vec<u8>| {
        let mut text = vec![0; base64::encoded_len(octets.len())];
        base64::encode(&octets, &mut text).unwrap().to_string()
    };
    if !spec.words.is_empty() {
        return prop::sample::select(spec.words).prop_map(str::to_string).boxed();
    }
    let integer = prop_oneof![Just(0), 1..1000_u64, Just(Number::MAX), 0..=Number::MAX];
    match spec.value {
        "id" => prop_oneof![1..100_u64, 1..=Number::MAX]
            .prop_map(|n| n.to_string())
            .boxed(),
        "number" | "amount" => integer.prop_map(|n| n.to_string()).boxed(),
        "digest" => prop::collection::vec(any::<u8>(), 32).prop_map(octets).boxed(),
        "octets" => {
            let length = prop_oneof![Just(16), 1..50_usize];
            length
                .prop_flat_map(|n| prop::collection::vec(any::<u8>(), n))
                .prop_map(octets)
                .boxed()
        }
        "currency" => "[A-Z]{3}".boxed(),
        "approval code" => "[A-Z0-9]{6}".boxed(),
        "identity" => any::<[u8; 16]>()
            .prop_map(|uuid| Identity::from_uuid(uuid).to_string())
            .boxed(),
        "time" => {
            let seconds = Time::MIN.unix()..=Time::MAX.unix();
            seconds
                .prop_map(|seconds| Time::from_unix(seconds).unwrap().to_string())
                .boxed()
        }
        "text" => common::value()
            .prop_filter("length", |text| text.len() <= MAX_TEXT)
            .boxed(),
        "token" => common::name().boxed(),
        other => panic!("no generator for {other:?}"),
    }
}

fn pick<T>(runner: &mut TestRunner, strategy: impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).unwrap().current()
}

/// A frame of this message with random fields, optional ones there or not, and unknown ones between them.
fn random(runner: &mut TestRunner, row: &Row) -> Vec<u8> {
    let (_, kind, verb, signatures, specs) = row;
    let mut fields = std::collections::BTreeMap::new();
    for spec in *specs {
        if spec.required || pick(runner, any::<bool>()) {
            fields.insert(spec.key.to_string(), pick(runner, value_of(spec)));
        }
    }
    for (name, value) in pick(runner, prop::collection::vec((common::name(), common::value()), 0..3)) {
        if specs.iter().all(|spec| spec.key != name) {
            fields.insert(name, value);
        }
    }
    let mut buffer = vec![0; 8192];
    let mut encoder = Encoder::new(&mut buffer, *kind, verb).unwrap();
    for (name, value) in &fields {
        encoder.field(name, value).unwrap();
    }
    for _ in 0..pick(runner, signatures.clone()) {
        let (certificate, both) = pick(runner, signature());
        encoder = encoder.sign(&Digest(certificate)).unwrap().append(&both).unwrap();
    }
    encoder.finish().unwrap().as_bytes().to_vec()
}

fn written(message: &Any<'_>, like: &Frame<'_>) -> Vec<u8> {
    let mut buffer = vec![0; 8192];
    let mut encoder = encode(message, &mut buffer).unwrap();
    for signature in like.signatures() {
        encoder = encoder
            .sign(&signature.certificate)
            .unwrap()
            .append(&signature.signature)
            .unwrap();
    }
    encoder.finish().unwrap().as_bytes().to_vec()
}

#[test]
fn what_was_read_is_written_as_it_was() {
    let mut runner = TestRunner::deterministic();
    for row in all() {
        let (mut read, mut tried) = (0, 0);
        while read < 40 {
            tried += 1;
            assert!(
                tried < 20_000,
                "{} {}: hardly any combination is consistent",
                row.1,
                row.2
            );
            let bytes = random(&mut runner, &row);
            let frame = Frame::parse_exact(&bytes).unwrap();
            match parse(row.0, &frame) {
                Ok(message) => {
                    assert_eq!(
                        String::from_utf8(written(&message, &frame)),
                        String::from_utf8(bytes.clone())
                    );
                    assert_eq!(parse(row.0, &frame).unwrap(), message);
                    read += 1;
                }
                Err(error) => assert_eq!(error.kind, ErrorKind::Inconsistent, "{error} in {frame:?}"),
            }
        }
    }
}

#[test]
fn a_changed_octet_is_refused_or_read_as_what_it_says() {
    let mut runner = TestRunner::deterministic();
    for row in all() {
        let bytes = random(&mut runner, &row);
        for at in 0..bytes.len() {
            for change in [1, 3, 0x20, 0x7F] {
                let mut mutated = bytes.clone();
                mutated[at] ^= change;
                let Ok(frame) = Frame::parse_exact(&mutated) else {
                    continue;
                };
                match parse(row.0, &frame) {
                    Ok(message) => assert_eq!(written(&message, &frame), mutated),
                    Err(error) => assert!(error.offset <= mutated.len(), "{error}"),
                }
            }
        }
    }
}

#[test]
fn a_missing_field_is_named() {
    let mut runner = TestRunner::deterministic();
    for row in all() {
        for spec in row.4.iter().filter(|spec| spec.required) {
            let bytes = random(&mut runner, &row);
            let frame = Frame::parse_exact(&bytes).unwrap();
            let field = frame.get(spec.key).unwrap();
            let line = field.offset..field.value_offset() + field.value.len() + 1;
            let mut without = bytes.clone();
            without.drain(line);
            // The signatures' text is as it was: the message's reader does not verify.
            let frame = Frame::parse_exact(&without).unwrap();
            let error = parse(row.0, &frame).unwrap_err();
            assert_eq!(error.kind, ErrorKind::MissingField, "{frame:?}");
            assert_eq!(error.key.unwrap().as_str(), spec.key);
            assert_eq!(error.offset, field.offset);
        }
    }
}

#[test]
fn an_unknown_critical_field_is_refused_and_a_known_one_has_one_spelling() {
    let mut runner = TestRunner::deterministic();
    for row in all() {
        let bytes = random(&mut runner, &row);
        let text = String::from_utf8(bytes).unwrap();
        let header = text.find('\n').unwrap() + 1;
        let critical = format!("{}!a=1\n{}", &text[..header], &text[header..]);
        if let Ok(frame) = Frame::parse_exact(critical.as_bytes()) {
            let error = parse(row.0, &frame).unwrap_err();
            assert_eq!((error.kind, error.offset), (ErrorKind::UnknownCritical, header));
            assert_eq!(error.key.unwrap().as_str(), "!a");
        }
        let known = row.4.iter().find(|spec| spec.required).unwrap().key;
        let spelt = text.replacen(&format!("\n{known}="), &format!("\n!{known}="), 1);
        let frame = Frame::parse_exact(spelt.as_bytes()).unwrap();
        assert_eq!(parse(row.0, &frame).unwrap_err().kind, ErrorKind::CriticalSpelling);
    }
}

#[test]
fn the_number_of_signatures_is_part_of_the_message() {
    let mut runner = TestRunner::deterministic();
    for row in all() {
        for count in 0..=2 {
            let mut bytes = random(&mut runner, &(row.0, row.1, row.2, 0..=0, row.4));
            let mut buffer = vec![0; 8192];
            for _ in 0..count {
                let frame = Frame::parse_exact(&bytes).unwrap();
                let encoder = Encoder::countersign(&mut buffer, &frame)
                    .unwrap()
                    .sign(&Digest([1; 32]))
                    .unwrap();
                bytes = encoder.append(&[1; 64]).unwrap().finish().unwrap().as_bytes().to_vec();
            }
            let frame = Frame::parse_exact(&bytes).unwrap();
            let result = parse(row.0, &frame).map_err(|error| error.kind);
            if count < *row.3.start() {
                assert_eq!(result, Err(ErrorKind::MissingSignature { needed: *row.3.start() }));
            } else if count > *row.3.end() {
                assert_eq!(result, Err(ErrorKind::UnexpectedSignature { allowed: *row.3.end() }));
            } else {
                assert!(matches!(result, Ok(_) | Err(ErrorKind::Inconsistent)));
            }
        }
    }
}

#[test]
fn tables_are_in_order_and_all_words_are_names() {
    for (_, kind, verb, _, fields) in all() {
        assert!(fields.windows(2).all(|pair| pair[0].key < pair[1].key), "{kind} {verb}");
        for spec in fields {
            assert!(Token::new(spec.key).is_some(), "{}", spec.key);
        }
    }
    for code in ErrorCode::LIST {
        assert_eq!(
            ErrorCode::from_token(Token::new(code).unwrap()).unwrap().as_str(),
            *code
        );
    }
    for rule in [
        rule::AMOUNT_LIMIT,
        rule::BALANCE,
        rule::CARD_BLOCKED,
        rule::CARD_EXPIRED,
        rule::CARD_INVALID,
        rule::CARD_UNKNOWN,
        rule::CATEGORY,
        rule::CERTIFICATE_EXPIRED,
        rule::CERTIFICATE_REVOKED,
        rule::CURRENCY,
        rule::DAILY_CAP,
        rule::DAY,
        rule::PIN,
        rule::PIN_BLOCKED,
        rule::PIN_REQUIRED,
        rule::SHOP,
        rule::TOMBSTONE,
        rule::VELOCITY,
    ] {
        assert!(Token::new(rule).is_some(), "{rule}");
    }
}

#[test]
fn every_error_kind_has_a_code_that_can_be_sent() {
    let expected = Kind::Command;
    for kind in [
        ErrorKind::Incomplete,
        ErrorKind::FrameTooLong,
        ErrorKind::TrailingOctets,
        ErrorKind::BadMagic,
        ErrorKind::BadKind,
        ErrorKind::BadVerb,
        ErrorKind::BadKey,
        ErrorKind::NameTooLong,
        ErrorKind::EmptyValue,
        ErrorKind::ForbiddenCharacter,
        ErrorKind::BadUtf8,
        ErrorKind::KeyOrder,
        ErrorKind::TooManyFields,
        ErrorKind::SignatureOrder,
        ErrorKind::BadSignature,
        ErrorKind::SignatureRange,
        ErrorKind::WrongVerb { expected },
        ErrorKind::UnknownVerb,
        ErrorKind::MissingField,
        ErrorKind::UnknownCritical,
        ErrorKind::CriticalSpelling,
        ErrorKind::MissingSignature { needed: 1 },
        ErrorKind::UnexpectedSignature { allowed: 1 },
        ErrorKind::BadInteger,
        ErrorKind::OutOfRange,
        ErrorKind::BadBase64,
        ErrorKind::BadLength,
        ErrorKind::BadTime,
        ErrorKind::BadIdentity,
        ErrorKind::BadCurrency,
        ErrorKind::BadChoice,
        ErrorKind::BadToken,
        ErrorKind::Inconsistent,
        ErrorKind::NoRoom,
    ] {
        assert!(Token::new(kind.code()).is_some(), "{kind:?}");
    }
}

fn sale() -> Authorise<'static> {
    Authorise {
        amount: Amount::new(1250).unwrap(),
        currency: Currency::new("USD").unwrap(),
        id: TransactionId::new(41).unwrap(),
        partial: true,
        pin_hash: None,
        terminal: Identity::from_urn("urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e").unwrap(),
        time: Time::from_text("2026-11-21T12:00:00Z").unwrap(),
        track_hash: Digest([7; 32]),
        extra: Extra::default(),
    }
}

#[test]
fn a_sale_reads_as_one_would_write_it() {
    let mut buffer = [0; 1024];
    let frame = sale().encode(&mut buffer).unwrap().finish().unwrap();
    assert_eq!(
        frame.as_str(),
        "TR1 C authorise\namount=1250\ncurrency=USD\nid=41\npartial=yes\n\
         terminal=urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e\ntime=2026-11-21T12:00:00Z\n\
         track-hash=BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc\n\n"
    );
}

#[test]
fn a_contradiction_is_refused_when_written_too() {
    let nothing = Authorise {
        amount: Amount::ZERO,
        ..sale()
    };
    let error = nothing.encode(&mut [0; 1024]).unwrap_err();
    assert_eq!(
        (error.kind, error.key.unwrap().as_str()),
        (ErrorKind::Inconsistent, "amount")
    );
}

#[test]
fn unknown_fields_are_kept_in_their_places() {
    let text = "TR1 I closed\na=1\nchannel=7\nitem=2\nz=3\n\n";
    let frame = Frame::parse_exact(text.as_bytes()).unwrap();
    let message = Closed::parse(&frame).unwrap();
    assert_eq!(
        message.extra.iter().map(|field| field.name).collect::<Vec<_>>(),
        ["a", "item", "z"]
    );
    assert_eq!(message.extra.get("item"), Some("2"));
    assert_eq!(message.extra.get("channel"), None);
    let mut buffer = [0; 100];
    assert_eq!(message.encode(&mut buffer).unwrap().finish().unwrap().as_str(), text);
}

#[test]
fn a_card_shows_nothing() {
    let salt = |octets| Secret::new(Binary::new(octets).unwrap());
    let card = Card {
        id: TransactionId::new(41).unwrap(),
        pin_block: Some(salt(&[0xAB; 16])),
        pin_salt: Some(salt(&[0xCD; 16])),
        track: Secret::new(Text::new(";6010000000000003=30120000000?").unwrap()),
        track_salt: salt(&[0xEF; 16]),
        extra: Extra::default(),
    };
    let shown = format!("{card:?}");
    assert!(!shown.contains("6010") && shown.contains("[redacted]"), "{shown}");
    let mut buffer = [0; 400];
    let frame = card.encode(&mut buffer).unwrap().finish().unwrap();
    let read = Card::parse(&frame).unwrap();
    assert_eq!(read, card); // raw octets and their text are equal
    assert_eq!(read.track_salt.expose().array(), Some([0xEF; 16]));
    let short = Card {
        track_salt: salt(&[0; 15]),
        ..card.clone()
    };
    assert_eq!(
        short.encode(&mut [0; 400]).unwrap_err().key.unwrap().as_str(),
        "track-salt"
    );
    let alone = Card { pin_salt: None, ..card };
    assert_eq!(
        alone.encode(&mut [0; 400]).unwrap_err().key.unwrap().as_str(),
        "pin-salt"
    );
}

#[test]
fn binary_values_compare_by_their_octets() {
    for length in 1..60_u8 {
        let octets: Vec<u8> = (0..length).collect();
        let mut text = vec![0; 100];
        let text = base64::encode(&octets, &mut text).unwrap();
        let (raw, read) = (Binary::new(&octets).unwrap(), Binary::from_text(text).unwrap());
        assert_eq!(raw, read);
        assert_eq!(raw.len(), read.len());
        assert_eq!(read.octets(&mut [0; 60]).unwrap(), octets);
        assert_eq!(raw.octets(&mut [0; 60]).unwrap(), octets);
        let mut other = octets.clone();
        *other.last_mut().unwrap() ^= 1;
        assert_ne!(Binary::new(&other).unwrap(), read);
    }
}

#[test]
fn a_payload_is_a_message_and_perhaps_its_data() {
    let (command, data) = ("TR1 C echo\nid=1\n\n", "TR1 D card\nid=1\n\n");
    let parse = |text: String| {
        Payload::parse(text.as_bytes())
            .map(|payload| payload.data.is_some())
            .map_err(|e| (e.kind, e.offset))
    };
    assert_eq!(parse(command.into()), Ok(false));
    assert_eq!(parse(format!("{command}{data}")), Ok(true));
    assert_eq!(parse(data.into()), Err((ErrorKind::BadKind, 4)));
    assert_eq!(parse(format!("{command}{command}")), Err((ErrorKind::BadKind, 21)));
    assert_eq!(
        parse(format!("{command}{data}{data}")),
        Err((ErrorKind::TrailingOctets, 34))
    );
    assert_eq!(parse(format!("{command}TR")), Err((ErrorKind::Incomplete, 19)));
    assert_eq!(parse("x".repeat(6001)), Err((ErrorKind::FrameTooLong, 6000)));
}

#[test]
fn a_full_payload_fits_a_sealed_frame() {
    let sealed = Sealed {
        index: Number::new(Number::MAX).unwrap(),
        payload: Binary::new(&[0xA5; tr_protocol::frame::MAX_INNER + 16]).unwrap(),
        extra: Extra::default(),
    };
    sealed
        .encode(&mut [0; tr_protocol::frame::MAX_FRAME])
        .unwrap()
        .finish()
        .unwrap();
}

#[test]
fn an_error_answer_tells_where() {
    let error = Frame::parse(b"TR1 C a\n!foo=x\ty\n\n").unwrap_err();
    let answer = ErrorAnswer::about(&error).to(TransactionId::new(3).unwrap(), Digest([0; 32]));
    let mut buffer = [0; 400];
    let frame = answer.encode(&mut buffer).unwrap().finish().unwrap();
    let zero = "A".repeat(43);
    assert_eq!(
        frame.as_str(),
        format!("TR1 I error\ncode=bad-character\ndigest={zero}\nkey=!foo\noffset=14\nre=3\n\n")
    );
    let opaque = ErrorAnswer::of(ErrorCode::AuthenticationFailed);
    let mut buffer = [0; 400];
    assert_eq!(
        opaque.encode(&mut buffer).unwrap().finish().unwrap().as_str(),
        "TR1 I error\ncode=auth-failed\n\n"
    );
}

#[test]
fn commands_reach_the_life_cycle_rules() {
    use tr_protocol::lifecycle::{Action, Command};
    let command = Inner::Authorise(sale());
    assert_eq!(
        command.command(Digest([1; 32])),
        Some(Command {
            id: TransactionId::new(41).unwrap(),
            digest: Digest([1; 32]),
            action: Action::Authorise
        })
    );
    assert_eq!(command.terminal(), Some(sale().terminal));
}
