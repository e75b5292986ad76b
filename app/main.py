import json, os, asyncio
STORE = {}
def create_app(settings):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                m = await receive()
                if m["type"] == "lifespan.startup":
                    if os.environ.get("FAIL"): await send({"type":"lifespan.startup.failed","message":"x"}); return
                    await send({"type":"lifespan.startup.complete"})
                else:
                    await send({"type":"lifespan.shutdown.complete"}); return
        body=b""
        while True:
            m=await receive(); body+=m.get("body",b"")
            if not m.get("more_body"): break
        p=scope["path"]; st=200; out={"pid":os.getpid(),"base":settings.base_url}
        if p=="/slow": await asyncio.sleep(2)
        if scope["method"] in("PUT","POST") : st=201; out={"resourceType":"Bundle","type":"transaction-response"}
        await send({"type":"http.response.start","status":st,"headers":[(b"content-type",b"application/json")]})
        await send({"type":"http.response.body","body":json.dumps(out).encode()})
    return app
