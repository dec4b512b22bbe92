//! The messages of the link itself, and the errors that gateway and link send to devices.

use tr_protocol::frame::{Frame, MAX_FRAME};
use tr_protocol::message::{Class, Closed, ErrorAnswer, ErrorCode, Extra, Link, Message, Opened, Via};
use tr_protocol::value::{Number, Text};

use super::LinkError;

/// Octets that the longest frame written here needs: numbers, a class, an address, a code and a key.
const ROOM: usize = 512;
const _: () = assert!(ROOM <= MAX_FRAME);

/// The `I error` frame that says it.
#[must_use]
pub fn error_frame(answer: &ErrorAnswer<'_>) -> Vec<u8> {
    written(answer)
}

/// The `I error` frame with a code and nothing else.
#[must_use]
pub fn code_frame(code: ErrorCode) -> Vec<u8> {
    written(&ErrorAnswer::of(code))
}

pub(super) fn opened(channel: Number, class: Class, peer: &str) -> Vec<u8> {
    // An address always is text; should it not be, the channel is not opened and the device is told so.
    Text::new(peer).map_or_else(
        |_| Vec::new(),
        |peer| {
            written(&Opened {
                channel,
                class,
                peer,
                extra: Extra::default(),
            })
        },
    )
}

pub(super) fn via(channel: Number) -> Vec<u8> {
    written(&Via {
        channel,
        class: None,
        peer: None,
        extra: Extra::default(),
    })
}

pub(super) fn closed(channel: Number) -> Vec<u8> {
    written(&Closed {
        channel,
        reason: None,
        extra: Extra::default(),
    })
}

/// Reads a message of the link.
pub(super) fn parse(bytes: &[u8]) -> Result<Link<'_>, LinkError> {
    let frame = Frame::parse_exact(bytes);
    frame
        .and_then(|frame| Link::parse(&frame))
        .map_err(|error| LinkError::Rules {
            reason: error.to_string(),
        })
}

fn written<'a>(message: &impl Message<'a>) -> Vec<u8> {
    let mut room = [0; ROOM];
    let frame = message.encode(&mut room).and_then(|encoder| encoder.finish());
    debug_assert!(
        frame.is_ok(),
        "{ROOM} octets are enough, and the messages written here do not contradict themselves"
    );
    frame.map(|frame| frame.as_bytes().to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let seven = Number::new(7).unwrap();
        let most = Number::new(Number::MAX).unwrap();
        let peer = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535";
        let bytes = opened(most, Class::Card, peer);
        let Link::Opened(message) = parse(&bytes).unwrap() else {
            panic!("not opened");
        };
        assert_eq!(
            (message.channel, message.class, message.peer.as_str()),
            (most, Class::Card, peer)
        );
        assert!(matches!(parse(&via(seven)).unwrap(), Link::Via(message) if message.channel == seven));
        assert!(matches!(parse(&closed(seven)).unwrap(), Link::Closed(message) if message.channel == seven));
    }

    #[test]
    fn errors_are_frames() {
        let bad = Frame::parse_exact(b"TR1 C x\nlong-name-xxxxx\n\n").unwrap_err();
        for bytes in [
            code_frame(ErrorCode::Unavailable),
            error_frame(&ErrorAnswer::about(&bad)),
        ] {
            let frame = Frame::parse_exact(&bytes).unwrap();
            ErrorAnswer::parse(&frame).unwrap();
        }
    }

    #[test]
    fn what_breaks_the_rules_is_named() {
        for (bytes, reason) in [
            (b"TR1 I opened\n\n".as_slice(), "channel"),
            (b"TR1 I closed\nchannel=01\n\n", "bad-integer"),
            (b"TR1 C enrol\nid=1\n\n", "unknown-verb"),
            (b"garbage\n\n", "offset 0"),
        ] {
            let error = parse(bytes).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
