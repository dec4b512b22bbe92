#![doc = include_str!("../README.md")]
#![no_std]
#![deny(missing_docs, unsafe_code)]

pub mod device;
#[expect(unsafe_code, reason = "the free stack belongs to no Rust object")]
pub mod stack;
pub mod trap;
pub mod work;

mod key;
pub use key::Key;

/// What `build.rs` made: certificates, keys and the time they are good for.
pub mod data {
    include!(concat!(env!("OUT_DIR"), "/data.rs"));
}

/// The whole of a size probe: does the work once, and stops the processor; no formatting, no output.
#[macro_export]
macro_rules! probe {
    ($work:expr) => {
        #[cortex_m_rt::entry]
        fn main() -> ! {
            let outcome: $crate::work::Outcome = $work;
            core::hint::black_box(outcome.is_ok());
            cortex_m::asm::udf()
        }

        #[panic_handler]
        fn stop(_: &core::panic::PanicInfo<'_>) -> ! {
            cortex_m::asm::udf()
        }
    };
}
