"""The pages: rendered here and escaped, brought to life by the plain modules in server/static."""

from fastapi import APIRouter

from bpsweep.server.pages import assets, index, projects, runs, session, sweeps

router = APIRouter()
for _part in (assets, session, index, sweeps, runs, projects):
    router.include_router(_part.router)
