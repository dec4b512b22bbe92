//! `tr-protocol`: a signed command written, found in a stream, read, and decided by the rules.

use tr_protocol::frame::{Frame, MAX_FRAME, Scanner};
use tr_protocol::lifecycle::{Answer, Next, Outcome as Decided, Standing, Step, Stored, Write, step};
use tr_protocol::message::{Authorise, Inner, Message};
use tr_protocol::value::{Amount, Currency, Digest, Identity, Time, TransactionId};

use super::{Outcome, check, some};
use crate::data;

/// Octets of a buffer for the largest frame.
pub const BUFFER: usize = MAX_FRAME;

/// Writes a signed authorise into `out` and gives its length.
///
/// # Errors
/// When it does not fit.
pub fn write(out: &mut [u8]) -> Outcome<usize> {
    let command = Authorise {
        amount: some(Amount::new(1250))?,
        currency: some(Currency::new("USD"))?,
        id: some(TransactionId::new(7))?,
        partial: true,
        pin_hash: None,
        terminal: Identity::from_uuid([9; 16]),
        time: some(Time::from_unix(data::NOW))?,
        track_hash: Digest([3; 32]),
        extra: Default::default(),
    };
    let signing = command.encode(out)?.sign(&Digest([4; 32]))?;
    Ok(signing.append(&[1; 64])?.finish()?.as_bytes().len())
}

/// Finds the command in a stream that comes in pieces, reads it, and runs the rules to the end of its life.
///
/// # Errors
/// When a result is not what it must be.
pub fn read(stream: &[u8]) -> Outcome {
    let mut scanner = Scanner::new();
    check(scanner.scan(&stream[..stream.len() / 2])?.is_none())?;
    let frame = Frame::parse_exact(&stream[..some(scanner.scan(stream)?)?])?;
    check(some(frame.signature(1))?.signed.ends_with(b"."))?;
    let message = Inner::parse(&frame)?;
    check(matches!(&message, Inner::Authorise(command) if command.amount.minor_units() == 1250))?;
    decide(&message)
}

fn decide(message: &Inner<'_>) -> Outcome {
    let command = some(message.command(Digest([5; 32])))?;
    let mut stored = Stored::EMPTY;
    let Step::Admit(admit) = step(&stored, &command) else {
        return check(false);
    };
    let Next::Write(claim) = admit.standing(Standing::Full) else {
        return check(false);
    };
    check(stored.apply(claim) && stored.apply(Write::Decide(Decided::Approved)))?;
    check(step(&stored, &command) == Step::Answer(Answer::Stored))?;
    let changed = some(message.command(Digest([6; 32])))?;
    check(matches!(step(&stored, &changed), Step::Answer(Answer::Refuse(_))))
}

/// Writes and reads, in one buffer.
///
/// # Errors
/// When a result is not what it must be.
pub fn work(buffer: &mut [u8]) -> Outcome {
    let len = write(buffer)?;
    read(&buffer[..len])
}
