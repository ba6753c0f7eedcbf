//! A real nginx on a host.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use crate::lab::Host;
use crate::process::Process;
use crate::wait::{self, SOON};

/// A running nginx, with a master and a worker process.
pub struct Nginx {
    process: Process,
}

impl Nginx {
    /// Starts it on port 80 of every address of the host, and waits until it listens. It answers
    /// with the name of the host.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(host: &Host) -> Result<Self> {
        Self::start_with(host, "")
    }

    /// The same, and on port 443 over TLS with this certificate and its key.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with_tls(host: &Host, certificate: &Path, key: &Path) -> Result<Self> {
        let (certificate, key) = (certificate.display(), key.display());
        let shown = format!("ssl_certificate {certificate}; ssl_certificate_key {key};");
        Self::start_with(host, &format!("listen 443 ssl; {shown}"))
    }

    fn start_with(host: &Host, more: &str) -> Result<Self> {
        let files = host.files();
        let file = files.join("nginx.conf");
        let name = host.name();
        let files = files.display();
        fs::write(
            &file,
            format!(
                "user root;\nworker_processes 1;\npid {files}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n access_log off;\n \
                 client_body_temp_path {files}/body;\n proxy_temp_path {files}/proxy;\n fastcgi_temp_path {files}/fastcgi;\n \
                 uwsgi_temp_path {files}/uwsgi;\n scgi_temp_path {files}/scgi;\n \
                 server {{ listen 80; {more} location / {{ default_type text/plain; return 200 \"{name}\\n\"; }} }}\n}}\n"
            ),
        )?;
        let process = host
            .command("nginx")
            .args(["-e", "stderr", "-g", "daemon off;", "-c"])
            .arg(&file)
            .spawn(&host.files().join("nginx.log"))?;
        wait::until_true(SOON, "nginx listens", || {
            if let Some(status) = process.ended()? {
                anyhow::bail!("nginx ended: {status}: {}", process.log()?);
            }
            Ok(host
                .enter(|| Ok(std::net::TcpStream::connect(("127.0.0.1", 80))?))
                .is_ok())
        })?;
        Ok(Self { process })
    }

    /// Stops it and waits until no process of it is left.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait(Duration::from_secs(10))?;
        Ok(())
    }
}
