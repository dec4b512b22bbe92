//! Everything a terminal says to cashiers and cardholders, in every language, in this one place.
//!
//! A text is a whole sentence: what happened and what to do, never told by colour alone. `{amount}`, `{rest}` and
//! `{code}` are filled in by the shell.

use tr_protocol::message::rule;

/// The texts of one language.
#[derive(Clone, Copy, Debug)]
pub struct Texts {
    /// A sale went through.
    pub approved: &'static str,
    /// A part of it did.
    pub approved_in_part: &'static str,
    /// It did not.
    pub declined: &'static str,
    /// What would have gone through.
    pub would_approve: &'static str,
    /// A sale was undone.
    pub reversed: &'static str,
    /// There was nothing to undo.
    pub nothing_to_reverse: &'static str,
    /// Nobody knows yet.
    pub unknown: &'static str,
    /// The card's balance.
    pub balance: &'static str,
    /// The card could not be read.
    pub swipe_again: &'static str,
    /// The state of an earlier sale: it went through.
    pub was_approved: &'static str,
    /// A part of it did.
    pub was_approved_in_part: &'static str,
    /// It did not.
    pub was_declined: &'static str,
    /// It was undone.
    pub was_reversed: &'static str,
    /// It was never executed, and never will be.
    pub never_executed: &'static str,
    /// It is too long ago to tell.
    pub too_old: &'static str,
    /// The network refused the command.
    pub refused: &'static str,
    /// Why, by the rule's name.
    reasons: &'static [(&'static str, &'static str)],
    /// Any other rule.
    other_reason: &'static str,
}

impl Texts {
    /// The reason that a rule's name stands for.
    #[must_use]
    pub fn reason(&self, rule: &str) -> &'static str {
        self.reasons
            .iter()
            .find(|(name, _)| *name == rule)
            .map_or(self.other_reason, |(_, text)| text)
    }
}

/// English.
pub const ENGLISH: Texts = Texts {
    approved: "APPROVED {amount} - code {code}. Hand over the goods.",
    approved_in_part: "APPROVED IN PART {amount} - code {code}. Ask for the rest ({rest}) before you hand over the goods.",
    declined: "DECLINED. Do not hand over the goods.",
    would_approve: "{amount} would be approved.",
    reversed: "REVERSED {amount}. The credit is back on the card.",
    nothing_to_reverse: "NOTHING TO REVERSE. The sale took no credit.",
    unknown: "NO ANSWER YET. Do not hand over the goods; press Retry, or Cancel to give the sale up. The card is charged once at most.",
    balance: "BALANCE {amount}.",
    swipe_again: "CARD NOT READ. Swipe again.",
    was_approved: "That sale was APPROVED: {amount}, code {code}.",
    was_approved_in_part: "That sale was APPROVED IN PART: {amount}, code {code}.",
    was_declined: "That sale was DECLINED.",
    was_reversed: "That sale was REVERSED.",
    never_executed: "That sale was NEVER EXECUTED, and never will be.",
    too_old: "That sale is too long ago to be told here.",
    refused: "REFUSED BY THE NETWORK.",
    reasons: &[
        (rule::AMOUNT_LIMIT, "More than one sale may take."),
        (rule::BALANCE, "Not enough credit on the card."),
        (rule::CARD_BLOCKED, "The card is blocked."),
        (rule::CARD_EXPIRED, "The card has expired."),
        (rule::CARD_INVALID, "The card is not valid."),
        (rule::CARD_UNKNOWN, "The card is not known."),
        (
            rule::CERTIFICATE_EXPIRED,
            "This terminal's certificate has expired: call the operator.",
        ),
        (
            rule::CERTIFICATE_REVOKED,
            "This terminal is revoked: call the operator.",
        ),
        (rule::CURRENCY, "Another currency."),
        (rule::DAILY_CAP, "More than the card may spend today."),
        (
            rule::SHOP,
            "This shop or terminal takes no payments: call the operator.",
        ),
        (rule::TOMBSTONE, "It was cancelled before it arrived."),
        ("minimum", "Less than the smallest sale."),
    ],
    other_reason: "The network's rules do not allow it.",
};

/// Spanish.
pub const SPANISH: Texts = Texts {
    approved: "APROBADO {amount} - código {code}. Entregue la mercancía.",
    approved_in_part: "APROBADO EN PARTE {amount} - código {code}. Cobre el resto ({rest}) antes de entregar la mercancía.",
    declined: "DENEGADO. No entregue la mercancía.",
    would_approve: "Se aprobarían {amount}.",
    reversed: "ANULADO {amount}. El crédito vuelve a estar en la tarjeta.",
    nothing_to_reverse: "NADA QUE ANULAR. La venta no tomó crédito.",
    unknown: "AÚN SIN RESPUESTA. No entregue la mercancía; pulse Reintentar, o Cancelar para abandonar la venta. La tarjeta se carga una vez como máximo.",
    balance: "SALDO {amount}.",
    swipe_again: "TARJETA NO LEÍDA. Pásela otra vez.",
    was_approved: "Esa venta fue APROBADA: {amount}, código {code}.",
    was_approved_in_part: "Esa venta fue APROBADA EN PARTE: {amount}, código {code}.",
    was_declined: "Esa venta fue DENEGADA.",
    was_reversed: "Esa venta fue ANULADA.",
    never_executed: "Esa venta NUNCA SE EJECUTÓ, ni se ejecutará.",
    too_old: "Esa venta es demasiado antigua para consultarla aquí.",
    refused: "RECHAZADO POR LA RED.",
    reasons: &[
        (rule::AMOUNT_LIMIT, "Supera el máximo de una venta."),
        (rule::BALANCE, "La tarjeta no tiene crédito suficiente."),
        (rule::CARD_BLOCKED, "La tarjeta está bloqueada."),
        (rule::CARD_EXPIRED, "La tarjeta ha caducado."),
        (rule::CARD_INVALID, "La tarjeta no es válida."),
        (rule::CARD_UNKNOWN, "La tarjeta es desconocida."),
        (
            rule::CERTIFICATE_EXPIRED,
            "El certificado de este terminal ha caducado: llame al operador.",
        ),
        (
            rule::CERTIFICATE_REVOKED,
            "Este terminal está revocado: llame al operador.",
        ),
        (rule::CURRENCY, "Otra moneda."),
        (rule::DAILY_CAP, "Supera lo que la tarjeta puede gastar hoy."),
        (rule::SHOP, "Esta tienda o terminal no acepta pagos: llame al operador."),
        (rule::TOMBSTONE, "Se canceló antes de llegar."),
        ("minimum", "Por debajo de la venta mínima."),
    ],
    other_reason: "Las reglas de la red no lo permiten.",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_say_the_same_things() {
        let names = |texts: &Texts| {
            texts
                .reasons
                .iter()
                .map(|(name, _)| *name)
                .eq(ENGLISH.reasons.iter().map(|(name, _)| *name))
        };
        assert!(names(&SPANISH));
        for (english, spanish) in [
            (ENGLISH.approved, SPANISH.approved),
            (ENGLISH.approved_in_part, SPANISH.approved_in_part),
            (ENGLISH.reversed, SPANISH.reversed),
            (ENGLISH.balance, SPANISH.balance),
            (ENGLISH.would_approve, SPANISH.would_approve),
            (ENGLISH.was_approved, SPANISH.was_approved),
            (ENGLISH.was_approved_in_part, SPANISH.was_approved_in_part),
        ] {
            for place in ["{amount}", "{rest}", "{code}"] {
                assert_eq!(
                    english.contains(place),
                    spanish.contains(place),
                    "{english} / {spanish}"
                );
            }
        }
    }
}
