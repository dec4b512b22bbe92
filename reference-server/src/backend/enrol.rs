//! Enrolment: a voucher is redeemed for a certificate.

use anyhow::{Context, Result, bail, ensure};
use tr_auth_aws_lc::AwsLc;
use tr_pki::ca::{Authority, Issue, Request, Subject};
use tr_pki::csr::{Csr, MAX_CSR_LEN};
use tr_pki::voucher::{Reference, Voucher};
use tr_pki::{Certificate, Role};
use tr_protocol::frame::{Frame, MAX_FRAME};
use tr_protocol::message::{Class, Enrol, EnrolAnswer, Extra, Message};
use tr_protocol::value::Binary;

use super::{Core, DAY, record};
use crate::store::{Enrolled, Enrolment, Store};
use crate::{clock, hsm, init};

impl Core {
    /// Answers an enrolment request with the certificate, the same for a repeat; or says, for the log alone, why not.
    pub(super) async fn enrol(&self, frame: &Frame<'_>, request: &Enrol<'_>, class: Class) -> Result<Vec<u8>> {
        let reference = Reference::parse(request.voucher.as_str())
            .map_err(|error| anyhow::anyhow!("the voucher's reference is none: {error}"))?;
        let name = reference.to_string();
        let voucher = self.store.voucher(&name).await?.with_context(|| format!("there is no voucher {name}"))?;
        let secret = voucher.secret.as_slice().try_into().context("a stored voucher has another length")?;
        let mut der = [0; MAX_CSR_LEN];
        let Ok(der) = request.csr.octets(&mut der) else {
            bail!("the request is longer than {MAX_CSR_LEN} octets");
        };
        // Nothing else is looked at before the MAC: it proves that the sender was given the voucher.
        ensure!(
            Voucher::new(reference, secret).check(&AwsLc, der, &request.mac.0).is_ok(),
            "the MAC is not that of voucher {name}"
        );
        let role = Role::from_name(&voucher.role).context("a stored voucher has an unknown role")?;
        ensure!(
            matches!((class, role), (Class::Pos, Role::Pos) | (Class::Card, Role::VirtualCard)),
            "voucher {name} is for a {role}, the device's class is {class:?}"
        );
        let digest = super::session::digest(frame);
        let now = clock::now();
        ensure!(now < voucher.expires, "voucher {name} has expired");
        if let Some((used_by, answer)) = voucher.used {
            ensure!(used_by == digest, "voucher {name} was used by another request");
            return Ok(answer);
        }
        let csr = Csr::parse(der).context("the certification request cannot be read")?;
        ensure!(csr.verify(&AwsLc).is_ok(), "the certification request is not signed by its key");

        let number = self.store.next_issue_number().await?;
        let signer = hsm::signer(&self.hsm, hsm::ISSUING_CA);
        let certificate = Authority::new(Certificate::parse(&self.issuing)?, &signer)?.issue(
            &Request {
                role,
                public_key: csr.public_key(),
                subject: Subject::Entity { identity: &voucher.uri, hosts: &[] },
            },
            &Issue {
                number,
                random: init::random()?,
                not_before: now,
                lifetime: Some(i64::from(self.config.certificates.device_days).saturating_mul(DAY)),
            },
            &AwsLc,
        )?;
        let octets = |der| Binary::new(der).context("an empty certificate");
        let answer = EnrolAnswer {
            certificate: octets(&certificate)?,
            digest,
            issuer: octets(&self.issuing)?,
            re: request.id,
            root: octets(&self.root)?,
            extra: Extra::default(),
        };
        let mut buffer = [0; MAX_FRAME];
        let answer = answer.encode(&mut buffer)?.finish()?.as_bytes().to_vec();
        let stored = self
            .store
            .enrol(Enrolment { reference: name.clone(), request: digest, certificate: record(&certificate, role)?, answer, now })
            .await?;
        match stored {
            Enrolled::Stored(answer) => {
                tracing::info!(voucher = %name, terminal = %voucher.uri, number, "a device has enrolled");
                Ok(answer)
            }
            Enrolled::Repeated(answer) => Ok(answer),
            Enrolled::Used => bail!("voucher {name} was used by another request"),
            Enrolled::Expired => bail!("voucher {name} has expired"),
            Enrolled::Unknown => bail!("there is no voucher {name}"),
        }
    }
}
