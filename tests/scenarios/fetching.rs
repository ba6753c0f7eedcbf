//! Requests of plugins to a real server, by names that the machine knows.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use mainstay_lab::lab::{Host, Lab};
use mainstay_lab::mainstay;
use mainstay_lab::nginx::Nginx;
use mainstay_lab::skip::{Need, skip};
use serde_json::{Value, json};

const HERE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 101);
const THERE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);

fn lacking(scenario: &str) -> bool {
    skip(
        scenario,
        &[
            Need::Root,
            Need::Executable("nginx"),
            Need::Executable("ip"),
            Need::Executable("openssl"),
            Need::File(mainstay::asker()),
            Need::File(mainstay::executable()),
            Need::File(mainstay::worker()),
        ],
    )
}

/// Runs the plugin that asks, once; everything said.
fn ask(host: &Host, step: &Value, grants: &[&str]) -> Result<String> {
    let mut command = host
        .command(mainstay::executable())
        .args(["plugin", "run"])
        .arg(mainstay::asker())
        .args(["--timeout", "10s", "--settings"])
        .arg(json!({ "steps": [step] }).to_string())
        .arg(format!("--worker={}", mainstay::worker().display()))
        .arg(format!("--cache-dir={}/cache", host.files().display()));
    for grant in grants {
        command = command.args(["--grant", grant]);
    }
    let output = command.output()?;
    Ok(String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?)
}

/// The names of this host.
fn know(host: &Host, hosts: &str) -> Result<()> {
    let file = host.files().join("hosts");
    fs::write(&file, hosts)?;
    let mount = host.command("mount").arg("--bind").arg(&file);
    mount.arg("/etc/hosts").text()?;
    Ok(())
}

#[test]
fn a_plugin_fetches_from_nginx_by_name_and_not_from_its_own_machine() -> Result<()> {
    if lacking("a_plugin_fetches_from_nginx_by_name_and_not_from_its_own_machine") {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (here, there) = (lab.host("here", HERE)?, lab.host("there", THERE)?);
    let _server = Nginx::start(&there)?;
    let _own = Nginx::start(&here)?;
    know(&here, &format!("{THERE} shop.test\n{HERE} own.test\n"))?;

    let shop = json!({ "ask": "fetch", "of": "http://shop.test/" });
    let said = ask(&here, &shop, &["http=http://shop.test/"])?;
    ensure!(said.contains("200 6 there"), "{said}");
    let said = ask(&here, &shop, &[])?;
    ensure!(said.contains("NotPermitted"), "{said}");
    ensure!(
        said.contains("--grant http.urls=http://shop.test/"),
        "{said}"
    );

    // Threat 21: a name that leads back is not enough.
    let own = json!({ "ask": "fetch", "of": "http://own.test/" });
    let said = ask(&here, &own, &["http=http://own.test/"])?;
    ensure!(said.contains("NotPermitted"), "{said}");
    let by_address = format!("http=http://{HERE}/");
    let said = ask(&here, &own, &["http=http://own.test/", &by_address])?;
    ensure!(said.contains("200 5 here"), "{said}");
    Ok(())
}

#[test]
fn a_plugin_fetches_from_nginx_over_tls_with_the_name_of_the_certificate() -> Result<()> {
    if lacking("a_plugin_fetches_from_nginx_over_tls_with_the_name_of_the_certificate") {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (here, there) = (lab.host("here", HERE)?, lab.host("there", THERE)?);
    let (certificate, key) = (there.files().join("pem"), there.files().join("key"));
    // Signed by itself, and no authority: who trusts it trusts it alone.
    let request = there.files().join("request");
    fs::write(
        &request,
        "[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = leaf\n[name]\nCN = shop.test\n\
         [leaf]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = DNS:shop.test\n",
    )?;
    there
        .command("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "30"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-config"])
        .arg(&request)
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .text()?;
    let _server = Nginx::start_with_tls(&there, &certificate, &key)?;
    know(&here, &format!("{THERE} shop.test other.test\n"))?;
    let trusted = fs::read_to_string(&certificate)?;
    let step = |name: &str| {
        json!({
            "ask": "fetch", "of": format!("https://{name}/"), "server-name": name,
            "authorities": trusted,
        })
    };
    let grants = ["http=https://shop.test/", "http=https://other.test/"];
    let said = ask(&here, &step("shop.test"), &grants)?;
    ensure!(said.contains("200 6 there"), "{said}");
    let said = ask(&here, &step("other.test"), &grants)?;
    ensure!(said.contains("TlsFailed"), "{said}");
    Ok(())
}
