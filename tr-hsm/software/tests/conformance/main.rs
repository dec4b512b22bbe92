//! The software store passes what every back end must.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod suite;

use tr_hsm_software::{Params, Store};

/// A store that removes its directory when dropped.
struct Fresh {
    store: Store,
    _directory: tempfile::TempDir,
}

fn fresh() -> Fresh {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let store = Store::create(path, b"passphrase", Params::INSECURE_FOR_TESTS).unwrap();
    Fresh {
        store,
        _directory: directory,
    }
}

macro_rules! passes {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            suite::$name(&fresh().store);
        }
    )*};
}

passes!(
    generates_lists_and_destroys,
    keeps_old_versions_when_it_rotates,
    refuses_every_other_usage,
    refuses_what_is_missing,
    refuses_inconsistent_attributes,
    signs_with_low_s,
    agrees_with_an_independent_peer,
    refuses_points_off_the_curve,
    seals_and_unseals,
    refuses_altered_sealed_data,
    wraps_data_keys,
    refuses_altered_data_keys,
    imports_private_keys,
    macs_and_verifies,
    makes_check_values_as_documented,
    proves_its_health,
    serves_many_threads,
    works_behind_dyn,
);
