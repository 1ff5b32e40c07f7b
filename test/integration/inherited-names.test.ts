// Goal: what strowger, the flynn router, discoverd and their kin promised by their tests is either shown here by a
// test of that name, or said to be out of scope, by name and with the reason. Nothing is forgotten in between.
// Method: the titles of all tests, and the table in docs/OUT_OF_SCOPE.md.

import { describe, expect, test } from "vitest";
import { filesUnder } from "../support/source-tree.ts";

/** strowger, flynn/router, its controller and whole-system tests, discoverd v1. */
const inherited = `
  Attributes RegisterAndUnregister Subscribe TestAPIAddDuplicateRoute TestAPIAddHTTPRoute
  TestAPIAddTCPRoute TestAPIListRoutes TestAPISetHTTPRoute TestAPISetTCPRoute TestAddHTTPRoute
  TestAddHTTPRouteWithCert TestAddHTTPRouteWithExistingCert TestAddTCPRoute TestAdditionalHttpPorts
  TestBasicRegisterAndServiceSet TestCaseInsensitiveDomain TestClientProvidedRequestID
  TestClosedBackendRetriesAnotherBackend TestConnectionCloseHeaderFromClient TestConnectionHeaders
  TestCreateDuplicateRoute TestCreateHTTPRoute TestCreateHTTPRouteWithCertificate
  TestCreateHTTPRouteWithInvalidCertificate TestCreateHTTPRouteWithPath TestCreateTCPRoute
  TestCreateTCPRouteReservedPort TestCustom503ErrorPage TestDefaultServerKeypair TestDeleteRoute
  TestDoubleSlashPath TestErrorAfterConnOnlyHitsOneBackend TestFiltering TestFwdProtoHandler
  TestGracefulShutdown TestHTTP01Challenge TestHTTPCloseNotify TestHTTPDisableKeepalive
  TestHTTPHeaders TestHTTPHeadersFromClient TestHTTPHijackUpgrade TestHTTPInitialSync
  TestHTTPInitialSyncOrder TestHTTPLoadBalance TestHTTPProxyHeadersFromClient TestHTTPProxyProtocol
  TestHTTPResponseStreaming TestHTTPResync TestHTTPServiceHandlerBackendConnectionClosed
  TestHTTPWebsocket TestHeartbeat TestHostPortStripping TestInitialTCPSync TestIssue5381
  TestKeepaliveHostname TestLeaderRouting TestLegacyTLSDisallowed TestListRoutes TestNoBackends
  TestNoResponsiveBackends TestNoServices TestParse_BadHeader TestParse_ipv4 TestParse_ipv6
  TestPassthrough TestPathRouting TestReconnect TestRequestQueryParams TestRequestURIEscaping
  TestRoute TestSelecting TestServiceAge TestServices TestSetRoutes TestStickyHTTPRoute
  TestStickyHTTPRouteWebsocket TestStreamEvents TestStreamRouteEvents TestTCPLeaderRouting
  TestTCPPortAllocation TestTree TestTreeSlice TestUpdateCert TestUpdateRoute
  TestUpgradeHeaderIsCaseInsensitive TestWatch TestWildcardCatchAllRouting TestWildcardRouting
`.trim();

const names = inherited.split(/\s+/);
const titles = filesUnder("test", ".test.ts")
  .filter(({ path }) => !path.endsWith("inherited-names.test.ts"))
  .flatMap(({ lines }) => lines.filter((line) => /"|`/.test(line)));
const table = filesUnder(".", ".md").find(({ path }) => path === "docs/OUT_OF_SCOPE.md");
const rows = (table?.lines ?? []).filter((line) => line.startsWith("|"));

const isNamedIn = (name: string, lines: readonly string[]): boolean =>
  lines.some((line) => new RegExp(`\\b${name}\\b`).test(line));

describe("an inherited test", () => {
  test("there are those of all projects", () => {
    expect(names.length).toBeGreaterThan(80);
    expect(rows.length).toBeGreaterThan(10);
  });

  test.for(names)("%s is a test here, or said to be out of scope", (name) => {
    expect([isNamedIn(name, titles), isNamedIn(name, rows)]).toContain(true);
    // What is shown needs no excuse.
    expect([isNamedIn(name, titles), isNamedIn(name, rows)]).toContain(false);
  });
});
