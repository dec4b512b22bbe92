//! What gateway and backend tell each other beside the frames that they pass on.

use super::{layer, message};
use crate::value::{Number, Text, Token, choice};

layer! {
    /// The frames of the link between gateway and backend.
    Link {
        Opened, "`I opened`";
        Via, "`I via`";
        Closed, "`I closed`";
    }
}

/// What a device is, by the class certificate that it showed to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A point of sale.
    Pos,
    /// A virtual card.
    Card,
}

choice!(Class, "class", Pos = "pos", Card = "card");

message! {
    /// `I opened`: a device has connected to the gateway.
    Opened = Information "opened", signatures 0..=0, check super::consistent;
    "channel" channel: required Number, "The device's connection, as the gateway numbers it; never used twice.";
    "class" class: required Class, "The class of the device.";
    "peer" peer: required Text<'a>, "The device's network address.";
}

message! {
    /// `I via`: the next frame on the link, verbatim, is from or to this device.
    Via = Information "via", signatures 0..=0, check super::consistent;
    "channel" channel: required Number, "The device's connection.";
    "class" class: optional Class, "The class of the device; from the gateway only.";
    "peer" peer: optional Text<'a>, "The device's network address; from the gateway only.";
}

message! {
    /// `I closed`: a device's connection has ended, or is to be ended.
    Closed = Information "closed", signatures 0..=0, check super::consistent;
    "channel" channel: required Number, "The device's connection.";
    "reason" reason: optional Token<'a>, "Why, for the log.";
}
