//! Stripes that somebody wrote: a number alone is no card.

use tr_net::pos::Task;
use tr_protocol::lifecycle::Outcome;
use tr_protocol::message::rule;
use tr_track::{Discretionary, Expiry, Pan, ServiceCode, Track2};

use crate::world::{World, balance, online, sale, settle};

#[tokio::test]
async fn a_stripe_whose_check_value_the_hsm_does_not_confirm_buys_nothing() {
    let world = World::running();
    let card = world.card("10.00");
    let good = Track2::parse(&card.track2).unwrap();
    let pan = || Pan::new(good.pan().expose_digits()).unwrap();
    let expiry = good.expiry().unwrap();
    let service = good.service_code().unwrap();
    let data = good.discretionary().expose().to_owned();
    let wrong_digit = {
        let mut digits = data.clone().into_bytes();
        let last = digits.last_mut().unwrap();
        *last = if *last == b'0' { b'1' } else { b'0' };
        String::from_utf8(digits).unwrap()
    };
    let written = |expiry: Option<Expiry>, service: Option<ServiceCode>, data: &str| {
        let track = Track2::new(pan(), expiry, service, Discretionary::new(data).unwrap()).unwrap();
        track.to_framed().expose_text().to_string()
    };
    let later = Expiry::new(expiry.year() + 1, expiry.month()).unwrap();
    let stripes = [
        (
            "a wrong check value",
            written(Some(expiry), Some(service), &wrong_digit),
        ),
        ("another expiry", written(Some(later), Some(service), &data)),
        (
            "another service code",
            written(Some(expiry), ServiceCode::parse("201").ok(), &data),
        ),
        (
            "another layout",
            written(Some(expiry), Some(service), &format!("2{}", &data[1..])),
        ),
        (
            "a key of another version",
            written(Some(expiry), Some(service), &format!("1002{}", &data[4..])),
        ),
        ("no check value", written(Some(expiry), Some(service), "")),
        ("no expiry", written(None, Some(service), &data)),
        ("no service code", written(Some(expiry), None, &data)),
    ];
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    for (what, track) in &stripes {
        till.prepare(&Task::Pay {
            amount: 1_00,
            partial: true,
            track,
        })
        .unwrap();
        let (outcome, amount, because) = sale(&settle(&mut till).await);
        assert_eq!((outcome, amount), (Outcome::Declined, 0), "{what}");
        assert_eq!(because.as_deref(), Some(rule::CARD_INVALID), "{what}");
        till.acknowledge().unwrap();
        // Nor does it tell the balance.
        till.prepare(&Task::Balance(track)).unwrap();
        assert!(settle(&mut till).await.answer.contains("outcome=declined"), "{what}");
        till.acknowledge().unwrap();
    }
    assert_eq!(balance(&world.books(), &card.account), 10_00);
}

#[tokio::test]
async fn a_card_of_another_issuer_is_unknown() {
    let world = World::running();
    let pos = world.pos("pos");
    let mut till = pos.shell().unwrap();
    online(&mut till).await;
    let track = ";4111111111111111=29121010000000000000?";
    till.prepare(&Task::Pay {
        amount: 1_00,
        partial: false,
        track,
    })
    .unwrap();
    let (outcome, _, because) = sale(&settle(&mut till).await);
    assert_eq!(
        (outcome, because.as_deref()),
        (Outcome::Declined, Some(rule::CARD_UNKNOWN))
    );
}
