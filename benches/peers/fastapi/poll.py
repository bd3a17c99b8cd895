"""The same poll as the product's, the usual way in Python: FastAPI, uvicorn and sqlite3, from the same file.

DATABASE=... python -m uvicorn poll:app --port ... --workers 2 --no-access-log
"""

import hashlib
import os
import sqlite3
import threading
import time
import uuid
from datetime import datetime, timezone

from fastapi import FastAPI, Header, HTTPException, Response

POLL = """
SELECT k.organization_id AS caller, k.scopes, k.expires_at_ms AS key_expires_at_ms, k.revoked_at_ms,
       o.organization_id AS subject, o.type, v.state, v.expires_at_ms, v.updated_at_ms, a.status AS letter
FROM api_key AS k
LEFT JOIN organization AS o ON o.organization_id = coalesce(:on_behalf_of, k.organization_id)
LEFT JOIN verification AS v ON v.organization_id = o.organization_id
LEFT JOIN authorization AS a ON a.granting = o.organization_id AND a.authorized = k.organization_id
     AND a.type = 'LOA' AND a.status IN ('PENDING', 'ACTIVE')
WHERE k.key_sha256 = :key
"""

app = FastAPI()
threads = threading.local()


def connection():
    if not hasattr(threads, "connection"):
        threads.connection = sqlite3.connect(f"file:{os.environ['DATABASE']}?mode=ro", uri=True)
        threads.connection.row_factory = sqlite3.Row
    return threads.connection


@app.get("/v1/organizations/verification")
def poll(response: Response, authorization: str = Header(""), nxos_on_behalf_of: str | None = Header(None)):
    scheme, _, key = authorization.partition(" ")
    if scheme != "Bearer" or not key.startswith("nxos_sk_test_"):
        raise HTTPException(401)
    parameters = {"key": hashlib.sha256(key.encode()).digest(), "on_behalf_of": nxos_on_behalf_of}
    row = connection().execute(POLL, parameters).fetchone()
    now_ms = time.time() * 1000
    if row is None or row["revoked_at_ms"] is not None or (row["key_expires_at_ms"] or now_ms + 1) <= now_ms:
        raise HTTPException(401)
    if row["subject"] is None:
        raise HTTPException(404)
    if "read" not in row["scopes"] or (row["subject"] != row["caller"] and row["letter"] is None):
        raise HTTPException(403)
    status, since_ms = row["state"].removesuffix("_BY_PROVIDER").removesuffix("_BY_OPERATOR"), row["updated_at_ms"]
    if status == "APPROVED" and row["expires_at_ms"] is not None and row["expires_at_ms"] <= now_ms:
        status, since_ms = "RESUBMISSION_REQUIRED", max(row["expires_at_ms"], since_ms)
    since = datetime.fromtimestamp(since_ms / 1000, timezone.utc)
    response.headers["ETag"] = f'"{status}-{since_ms:x}"'
    response.headers["X-Request-Id"] = f"req_{uuid.uuid4().hex}"
    return {"object": "organization_verification", "status": status, "type": row["type"],
            "updatedAt": since.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
