"""The story of `countersign demo --play`, told by a client that was generated from the document.

Every call and every answer goes through the generated classes: an answer that the document does not
describe fails in them. What an operator does is done on the command line, what Sumsub's reviewer does
on the simulator's control port. Time cannot be put forward from outside, so the expiry of the story is
an operator's "submit again" here: the same status, reached otherwise.

`play.py BINARY [PROXY DIRECTORY]`: with a proxy's name the broker's calls go through it, over TLS with
the certificate in the directory (tests/proxies/run.sh).
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import countersign_client as generated
from countersign_client.exceptions import ApiException

sys.path.append(str(Path(__file__).parents[2] / "proxies"))
from proxy import in_front_of  # noqa: E402

BINARY, *PROXY = sys.argv[1:]
steps = 0


def step(title):
    global steps
    steps += 1
    print(f"{steps:>2}. {title}")


def control(demo, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(demo["sumsub"]["controlUrl"].rstrip("/") + path, data, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def entity_tag(headers):
    # A proxy may write the name in its own way.
    return next(it for name, it in headers.items() if name.lower() == "etag")


class Story:
    def __init__(self, demo, register, api, ca=None):
        self.demo, self.register = demo, register
        configuration = generated.Configuration(host=api, access_token=demo["brokerKey"], ssl_ca_cert=ca)
        client = generated.ApiClient(configuration)
        self.organizations = generated.OrganizationsApi(client)
        self.verification = generated.VerificationApi(client)
        self.authorizations = generated.AuthorizationsApi(client)
        self.keys = generated.APIKeysApi(client)
        self.webhooks = generated.WebhooksApi(client)
        self.operation = generated.OperationApi(client)
        self.broker = demo["brokerOrganizationId"]

    def operator(self, *arguments):
        command = [BINARY, *arguments, "--database", str(self.register)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stderr}"

    def sign(self, customer):
        self.operator("loa", "sign", "--granting", customer, "--authorized", self.broker,
                      "--signer-name", "Jo Doe", "--signer-role", "Director", "--how", "paper",
                      "--reference", "folder/1")

    def act(self, customer, *actions):
        found = control(self.demo, "GET", f"/applicants?externalUserId={customer}")
        applicant = found["applicants"][0]["id"]
        for action in actions:
            control(self.demo, "POST", f"/applicants/{applicant}/{action}", {})

    def create(self, name, kind):
        new = generated.NewOrganization(name=name, type=kind)
        it = self.organizations.create_organization(new, idempotency_key=f"create {name}")
        assert (it.verification_status, it.type, it.name) == ("NOT_STARTED", kind, name)
        assert it.created_by_organization_id == self.broker
        again = self.organizations.create_organization_with_http_info(
            new, idempotency_key=f"create {name}")
        assert again.data == it and again.headers["Idempotent-Replayed"] == "true"
        return it.organization_id

    def status(self, customer):
        return self.verification.get_verification(nxos_on_behalf_of=customer).status.value

    def wait_for(self, customer, status):
        for _ in range(60):
            seen = self.verification.get_verification_with_http_info(nxos_on_behalf_of=customer)
            if seen.data.status == status:
                return
            try:
                self.verification.get_verification(
                    nxos_on_behalf_of=customer, if_none_match=entity_tag(seen.headers), prefer="wait=5")
            except ApiException as unchanged:
                assert unchanged.status == 304, unchanged
        raise AssertionError(f"waited for {status}, and it is {seen.data.status}")

    def is_open(self, customer):
        it = self.organizations.get_organization(nxos_on_behalf_of=customer)
        assert (it.organization_id, it.verification_status) == (customer, "APPROVED")

    def is_shut(self, customer, call=None):
        call = call or (lambda: self.organizations.get_organization(nxos_on_behalf_of=customer))
        self.refused(403, "authorization_required", call)

    def refused(self, status, code, call):
        try:
            answer = call()
        except ApiException as refusal:
            # `data` is of the generated class of this refusal.
            error = refusal.data.error
            assert (refusal.status, error.code) == (status, code), refusal
            assert error.request_id == refusal.headers["X-Request-Id"] and error.message
        else:
            raise AssertionError(f"expected {status} {code}, got {answer}")

    def share_token(self):
        donor = control(self.demo, "POST", "/partner/applicants",
                        {"firstName": "Grace", "lastName": "Hopper"})
        wish = {"applicantId": donor["id"], "ttlInSecs": 86_400}
        return control(self.demo, "POST", "/partner/share-token", wish)["token"]

    def start(self, customer):
        session = self.verification.start_verification(nxos_on_behalf_of=customer)
        assert session.url and session.access_token

    def business_by_session(self):
        step("The broker creates a customer")
        customer = self.create("Acme Trading Co.", "BUSINESS")
        step("The broker tries to act for it too early")
        self.is_shut(customer)
        step("The broker starts the customer's KYB")
        self.start(customer)
        assert self.status(customer) == "PENDING"
        step("The customer submits, Sumsub approves and calls the webhook")
        self.act(customer, "submit", "approve")
        self.wait_for(customer, "APPROVED")
        step("The broker tries again before the LOA is signed, and asks why")
        self.is_shut(customer)
        why = self.authorizations.explain_authorization(granting_organization_id=customer)
        assert not why.effective and why.next_action.who == "customer", why
        step("An operator records the signature, and the gate opens")
        self.sign(customer)
        self.is_open(customer)
        why = self.authorizations.explain_authorization(granting_organization_id=customer)
        assert why.effective and why.next_action is None, why
        return customer

    def person_by_import(self):
        step("A partner's verified person is imported")
        customer = self.create("Ada Lovelace", "INDIVIDUAL")
        token = generated.VerificationImport(shareToken=self.share_token())
        call = lambda: self.verification.import_verification(token, nxos_on_behalf_of=customer)
        self.is_shut(customer, call)
        self.sign(customer)
        imported = call()
        assert (imported.status, imported.type) == ("PENDING", "INDIVIDUAL")
        step("The webhook approves the import")
        self.wait_for(customer, "APPROVED")
        self.is_open(customer)
        step("The same share token is sent again")
        self.refused(400, "share_token_invalid", call)

    def retry(self):
        step("A customer's photo is blurry")
        customer = self.create("Grace Hopper", "INDIVIDUAL")
        self.start(customer)
        self.act(customer, "submit", "retry")
        self.wait_for(customer, "RESUBMISSION_REQUIRED")
        step("The broker hands the customer back into the flow")
        self.start(customer)
        assert self.status(customer) == "PENDING"
        self.act(customer, "submit", "approve")
        self.wait_for(customer, "APPROVED")

    def hold(self, customer):
        step("An operator holds a verified customer")
        self.operator("verification", "hold", customer, "--reason", "name is on a sanctions list")
        assert self.status(customer) == "ON_HOLD"
        self.is_shut(customer)
        step("The operator releases the hold")
        self.operator("verification", "approve", customer, "--reason", "false match, ticket 4711")
        assert self.status(customer) == "APPROVED"
        self.is_open(customer)

    def resubmission(self, customer):
        step("The customer must submit again")
        self.operator("verification", "hold", customer, "--reason", "papers are old")
        self.operator("verification", "resubmit", customer, "--reason", "papers are old")
        assert self.status(customer) == "RESUBMISSION_REQUIRED"
        self.is_shut(customer)
        step("The customer verifies anew, and the LOA resumes")
        self.start(customer)
        self.act(customer, "recheck", "approve")
        self.wait_for(customer, "APPROVED")
        self.is_open(customer)
        step("Every change of status can be read")
        events = self.verification.list_verification_events(nxos_on_behalf_of=customer).data
        assert (events[0].status, events[0].source) == ("APPROVED", "provider"), events
        assert events[-1].previous_status == "NOT_STARTED"

    def revoke(self, customer):
        step("The LOA is revoked, once")
        wish = generated.AuthorizationRevocation(
            grantingOrganizationId=customer, authorizedOrganizationId=self.broker, type="LOA",
            reason="contract ended")
        revoked = self.authorizations.revoke_authorization(wish)
        assert (revoked.status, revoked.revoked_reason) == ("REVOKED", "contract ended")
        self.is_shut(customer)
        self.refused(404, "authorization_not_found",
                     lambda: self.authorizations.revoke_authorization(wish))
        listed = self.authorizations.list_authorizations(limit=100, status="REVOKED").data
        assert [it.granting_organization_id for it in listed] == [customer]

    def key_rotation(self):
        step("The broker rotates a key, and the server is well")
        key = self.keys.create_api_key(generated.NewApiKey(name="second", scopes=["read"]))
        assert key.key.startswith("nxos_sk_test_")
        successor = self.keys.rotate_api_key(key.id, api_key_rotation=generated.ApiKeyRotation(overlapSeconds=60))
        assert successor.id != key.id and successor.scopes == ["read"]
        assert self.keys.revoke_api_key(successor.id).revoked_at is not None
        assert self.operation.get_health().status == "ok"
        assert self.operation.get_readiness().database == "writable"

    def webhook_endpoint(self):
        step("The broker has itself told of changes")
        new = generated.NewWebhookEndpoint(url="http://127.0.0.1:9000/hooks")
        endpoint = self.webhooks.create_webhook_endpoint(new)
        assert self.webhooks.get_webhook_secret(endpoint.id).secret.startswith("whsec_")
        sent = self.webhooks.test_webhook_endpoint(endpoint.id)
        assert self.webhooks.get_webhook_delivery(endpoint.id, sent.id).message_id == sent.message_id
        assert self.webhooks.delete_webhook_endpoint(endpoint.id).deleted

    def tell(self):
        business = self.business_by_session()
        self.person_by_import()
        self.retry()
        self.hold(business)
        self.resubmission(business)
        self.revoke(business)
        self.key_rotation()
        self.webhook_endpoint()


def main():
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "demo"
        command = [BINARY, "demo", "--json", "--directory", str(directory)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            demo = json.loads(process.stdout.readline())
            register = directory / "countersign.db"
            began = time.monotonic()
            if PROXY:
                with in_front_of(demo["api"].removeprefix("http://"), *PROXY) as api:
                    Story(demo, register, api, f"{PROXY[1]}/cert.pem").tell()
            else:
                Story(demo, register, demo["api"]).tell()
            print(f"The generated client played {steps} steps in {time.monotonic() - began:.1f} s.")
        finally:
            process.terminate()
            process.wait(timeout=30)


main()
