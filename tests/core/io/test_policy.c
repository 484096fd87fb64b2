/* tests/core/io/test_policy.c */
#include "core/io/policy.h"

#include "tests/support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static struct remote_url parse(const char *text)
{
    struct remote_url u;
    struct error e;
    assert_ok(remote_url_parse((const uint8_t *)text, strlen(text), &u, &e), &e);
    return u;
}

static void test_urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *scheme, *host;
        int port;
        const char *path;
    } cases[] = {
        {"http://Host.CERN.ch/a/b.root?x=@1", "http", "host.cern.ch", 80, "/a/b.root?x=@1"},
        {"HTTPS://host:8443", "https", "host", 8443, ""},
        {"https://host?q", "https", "host", 443, "?q"},
        {"root://eos_public.cern.ch//eos/a.root", "root", "eos_public.cern.ch", 1094, "//eos/a.root"},
        {"roots://h:1#f", "roots", "h", 1, "#f"},
        {"http://host./x", "http", "host", 80, "/x"},
        {"http://[2001:DB8::1]:65535/x", "http", "2001:db8::1", 65535, "/x"},
        {"http://[::1]", "http", "::1", 80, ""},
        {"http://10.0.0.1:080/", "http", "10.0.0.1", 80, "/"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct remote_url u = parse(cases[i].text);
        assert_string_equal(u.scheme, cases[i].scheme);
        assert_string_equal(u.host, cases[i].host);
        assert_int_equal(u.port, cases[i].port);
        assert_string_equal(cases[i].text + u.path_at, cases[i].path);
    }
}

static void test_urls_that_two_parsers_could_read_differently_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "http:/host/",
        "host/a",
        "http://",
        "http:///a",
        "http://?",
        "http://:80/",
        "http://.",
        "http://..",
        "http://a..b/",
        "http://.a/",
        "http://a../",
        "http://user@host/",
        "http://user:pass@host/",
        "http://@host/",
        "http://host:/",
        "http://host:0/",
        "http://host:65536/",
        "http://host:1e3/",
        "http://host:+80/",
        "http://host:000080/",
        "http://host:80:80/",
        "http://ho st/",
        "http://host\t/",
        "http://host\\@other/",
        "http://h\xC3\xB6st/",
        "http://h%6Fst/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[fe80::1%eth0]/",
        "http://[1.2.3.4]/",
        "http://[]/",
        "http://ho*st/",
        "http://ho,st/",
        "http://::1/",
        "http://a\r\nb/",
        "http://host/a b",
        "http://host/\x7F",
    };
    struct remote_url u;
    struct error e;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_status(remote_url_parse((const uint8_t *)bad[i], strlen(bad[i]), &u, &e), STATUS_ARGUMENT, &e);
        assert_null(strstr(e.text, "pass@"));
    }
    assert_status(remote_url_parse((const uint8_t *)"ftp://h/", 8, &u, &e), STATUS_UNSUPPORTED, &e);
    assert_status(remote_url_parse((const uint8_t *)"verylongscheme://h/", 19, &u, &e), STATUS_UNSUPPORTED, &e);
    assert_status(remote_url_parse((const uint8_t *)"http://h\0x/", 11, &u, &e), STATUS_ARGUMENT, &e);
}

static void test_host_names_have_at_most_255_characters(void **state)
{
    (void)state;
    char text[REMOTE_URL_BYTES_MAX + 100];
    struct remote_url u;
    struct error e;
    for (int n = 254; n <= 300; n++) {
        int len = snprintf(text, sizeof text, "http://%0*d/", n, 0);
        enum status s = remote_url_parse((const uint8_t *)text, (size_t)len, &u, &e);
        assert_int_equal(s, n <= 255 ? STATUS_OK : STATUS_ARGUMENT);
        if (s == STATUS_OK)
            assert_int_equal(strlen(u.host), n); /* never cut */
    }
    assert_contains(e.text, "a host name of 300 characters, at most 255");
    int len = snprintf(text, sizeof text, "http://h/%0*d", REMOTE_URL_BYTES_MAX, 0);
    assert_status(remote_url_parse((const uint8_t *)text, (size_t)len, &u, &e), STATUS_ARGUMENT, &e);
}

static enum address_kind kind_of(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return address_kind((struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return address_kind((struct sockaddr *)&v6);
}

static void test_addresses_are_public_local_or_never_connected_to(void **state)
{
    (void)state;
    static const char *const kinds[][24] = {
        [ADDRESS_PUBLIC] = {"128.142.0.1", "1.1.1.1", "172.15.255.255", "172.32.0.0", "192.167.255.255",
                            "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255",
                            "2001:1458:201::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1",
                            "198.17.255.255", "198.20.0.0"},
        [ADDRESS_LOCAL] = {"127.0.0.1", "127.255.255.255", "10.1.2.3", "172.16.0.0", "172.31.255.255", "192.168.0.1",
                           "100.64.0.0", "198.18.0.1", "192.0.2.1", "::1", "fc00::1", "fdff::1", "fec0::1",
                           "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::1", "64:ff9b:1::1", "100::1"},
        [ADDRESS_NEVER] = {"169.254.0.0",
                           "169.254.169.254",
                           "169.254.255.255",
                           "0.0.0.0",
                           "0.1.2.3",
                           "224.0.0.1",
                           "255.255.255.255",
                           "240.0.0.1",
                           "100.100.100.200",
                           "168.63.129.16",
                           "192.0.0.192",
                           "::",
                           "fe80::1",
                           "febf::1",
                           "ff02::1",
                           "fd00:ec2::254",
                           "::ffff:169.254.169.254",
                           "64:ff9b::169.254.169.254",
                           "2002:a9fe:a9fe::1",
                           "::127.0.0.1",
                           "::ffff:0.0.0.0"},
    };
    for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++)
        for (size_t i = 0; kinds[kind][i]; i++)
            if (kind_of(kinds[kind][i]) != kind)
                fail_msg("%s", kinds[kind][i]);
    assert_int_equal(address_kind(&(struct sockaddr){.sa_family = AF_UNIX}), ADDRESS_NEVER);
}

static void set_policy(const char *const *hosts, size_t n)
{
    struct source_policy p = {.hosts = hosts, .n_hosts = n, .setting = "io.hosts"};
    struct error e;
    assert_ok(source_policy_set(&p, &e), &e);
}

/* 0: refused, 1: as one of all public hosts, 2: by name. */
static int allowed(const char *url)
{
    struct remote_url u = parse(url);
    struct policy_grant g;
    struct error e;
    if (policy_check_host(&u, &g, &e) == STATUS_OK)
        return g.named ? 2 : 1;
    assert_int_equal(e.status, STATUS_FORBIDDEN);
    assert_contains(e.text, u.host);
    return 0;
}

static void test_patterns_name_hosts_domains_and_ports(void **state)
{
    (void)state;
    static const char *const hosts[] = {"One.example",    "*.cern.ch", "*:8080",
                                        "two.example:99", "[::1]:7",   "*.d.org:443"};
    struct error e;
    set_policy(hosts, ARRAY_LEN(hosts));
    assert_int_equal(allowed("http://one.EXAMPLE/"), 2);
    assert_int_equal(allowed("http://one.example:1/"), 2);
    assert_int_equal(allowed("http://xone.example/"), 0);
    assert_int_equal(allowed("http://one.example.evil/"), 0);
    assert_int_equal(allowed("http://eos.cern.ch/"), 2);
    assert_int_equal(allowed("http://a.b.cern.ch./"), 2);
    assert_int_equal(allowed("http://cern.ch/"), 0);
    assert_int_equal(allowed("http://evilcern.ch/"), 0);
    assert_int_equal(allowed("http://any.where:8080/"), 1);
    assert_int_equal(allowed("http://any.where:8081/"), 0);
    assert_int_equal(allowed("http://two.example:99/"), 2);
    assert_int_equal(allowed("http://two.example/"), 0);
    assert_int_equal(allowed("http://[::1]:7/"), 2);
    assert_int_equal(allowed("http://[::1]/"), 0);
    assert_int_equal(allowed("https://x.d.org/"), 2);
    assert_int_equal(allowed("http://x.d.org/"), 0);
    assert_ok(source_policy_set(NULL, &e), &e);
    assert_int_equal(allowed("http://one.example/"), 0);
}

static void test_malformed_patterns_leave_the_policy_as_it_was(void **state)
{
    (void)state;
    static const char *const good[] = {"*"};
    static const char *const bad[] = {"",    "http://host", "host/", "*host",  "a*.b", "*.",
                                      "**",  "user@host",   "host:", "host:x", "*:0",  "[::1",
                                      "::1", "ho st",       "*.*",   "a,b",    "*@x"};
    struct error e;
    set_policy(good, 1);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *const hosts[] = {"fine", bad[i]};
        struct source_policy p = {.hosts = hosts, .n_hosts = 2};
        assert_status(source_policy_set(&p, &e), STATUS_ARGUMENT, &e);
        assert_contains(e.text, "is no pattern of hosts");
        assert_int_equal(allowed("http://some.where/"), 1);
    }
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        const char *const hosts[] = {"one", "two"};
        struct source_policy p = {.hosts = hosts, .n_hosts = 2};
        enum status s = source_policy_set(&p, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
    }
    assert_ok(source_policy_set(NULL, &e), &e);
}

static void test_local_addresses_need_a_name_and_tokens_too(void **state)
{
    (void)state;
    static const char *const hosts[] = {"*", "named"};
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in never = {.sin_family = AF_INET};
    struct remote_url any = parse("https://any/"), named = parse("https://named/");
    struct policy_grant g;
    struct error e;
    set_policy(hosts, 2);
    assert_ok(policy_check_host(&any, &g, &e), &e);
    assert_false(g.token);
    assert_status(policy_check_address("any", (struct sockaddr *)&local, &g, &e), STATUS_FORBIDDEN, &e);
    assert_string_equal(e.text, "the host any has a loopback or private address: name the host itself in io.hosts");
    assert_ok(policy_check_host(&named, &g, &e), &e);
    assert_true(g.token);
    assert_ok(policy_check_address("named", (struct sockaddr *)&local, &g, &e), &e);
    assert_status(policy_check_address("named", (struct sockaddr *)&never, &g, &e), STATUS_FORBIDDEN, &e);
    struct source_policy p = {.hosts = hosts, .n_hosts = 2, .token_to_any_host = true};
    assert_ok(source_policy_set(&p, &e), &e);
    assert_ok(policy_check_host(&any, &g, &e), &e);
    assert_true(g.token);
    assert_ok(source_policy_set(NULL, &e), &e);
}

static void test_limits_left_out_have_defaults(void **state)
{
    (void)state;
    struct policy_limits l;
    struct error e;
    assert_int_equal(setenv("TMPDIR", "/somewhere", 1), 0);
    policy_limits(&l);
    assert_int_equal(l.attempts, 6);
    assert_int_equal(l.cache_bytes, 32 << 20);
    assert_string_equal(l.download_folder, "/somewhere");
    struct source_policy p = {.attempts = 2, .download_folder = "/elsewhere"};
    assert_ok(source_policy_set(&p, &e), &e);
    policy_limits(&l);
    assert_int_equal(l.attempts, 2);
    assert_int_equal(l.wait_max_ms, 20000);
    assert_string_equal(l.download_folder, "/elsewhere");
    assert_int_equal(unsetenv("TMPDIR"), 0);
    assert_ok(source_policy_set(NULL, &e), &e);
    policy_limits(&l);
    assert_string_equal(l.download_folder, "/var/tmp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls_are_taken_apart),
        cmocka_unit_test(test_urls_that_two_parsers_could_read_differently_are_refused),
        cmocka_unit_test(test_host_names_have_at_most_255_characters),
        cmocka_unit_test(test_addresses_are_public_local_or_never_connected_to),
        cmocka_unit_test(test_patterns_name_hosts_domains_and_ports),
        cmocka_unit_test(test_malformed_patterns_leave_the_policy_as_it_was),
        cmocka_unit_test(test_local_addresses_need_a_name_and_tokens_too),
        cmocka_unit_test(test_limits_left_out_have_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
