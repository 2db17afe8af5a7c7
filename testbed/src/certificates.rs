//! A certificate authority for one server of a test.

use std::fs::Permissions;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::error::{Error, create_dir, write_file};

/// PEM files: an authority, a server certificate for `localhost` and `127.0.0.1`, and a client certificate.
#[derive(Debug, Clone)]
pub struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// Makes them in a new directory, for a server that is reached at `address`, too.
    pub(crate) fn generate(directory: PathBuf, address: IpAddr) -> Result<Self, Error> {
        let directory = create_dir(directory)?;
        let mut authority = CertificateParams::default();
        authority
            .distinguished_name
            .push(DnType::CommonName, "StreamPipeline test authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        write_file(&directory.join("ca.pem"), authority.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(authority, key);

        let names = [
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            address.to_string(),
        ];
        for (file, user, names, usage) in [
            (
                "server",
                "localhost",
                names.to_vec(),
                ExtendedKeyUsagePurpose::ServerAuth,
            ),
            (
                "client",
                "streampipeline",
                Vec::new(),
                ExtendedKeyUsagePurpose::ClientAuth,
            ),
        ] {
            let mut leaf = CertificateParams::new(names)?;
            leaf.distinguished_name.push(DnType::CommonName, user);
            leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            leaf.extended_key_usages = vec![usage];
            let key = KeyPair::generate()?;
            let certificate = leaf.signed_by(&key, &issuer)?.pem();
            write_file(&directory.join(format!("{file}.pem")), &certificate)?;
            let key_file = directory.join(format!("{file}.key"));
            write_file(&key_file, key.serialize_pem())?;
            // PostgreSQL and its clients refuse a key that others can read.
            std::fs::set_permissions(&key_file, Permissions::from_mode(0o600))
                .map_err(Error::io("changing the mode of", &key_file))?;
            // Kafka wants both in one file.
            write_file(
                &directory.join(format!("{file}-with-key.pem")),
                key.serialize_pem() + &certificate,
            )?;
        }
        Ok(Self { directory })
    }

    /// The authority's certificate, which clients are to trust.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// A certificate that the authority issued to the user `CN=streampipeline`.
    #[must_use]
    pub fn client_certificate(&self) -> PathBuf {
        self.file("client.pem")
    }

    /// The client certificate's private key (PKCS#8).
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.file("client.key")
    }

    pub(crate) fn server_certificate(&self) -> PathBuf {
        self.file("server.pem")
    }

    pub(crate) fn server_key(&self) -> PathBuf {
        self.file("server.key")
    }

    pub(crate) fn server_with_key(&self) -> PathBuf {
        self.file("server-with-key.pem")
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}
